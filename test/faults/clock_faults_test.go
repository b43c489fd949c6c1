package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clockFaults are wrong clocks, of functions and of senders: windows and deadlines are Redis' business, and the order
// of words that of their senders' times.
var clockFaults = []fault{
	{
		name: "clocks 7 minutes ahead and behind", long: true, every: 30 * time.Millisecond, pods: 3, build: skewed,
		env:    func(n int) []string { return []string{fmt.Sprintf("%s=%d", skewVariable, 420*(n-1))} },
		during: func(b *bed) { b.kill(3) },
		after:  clocksAreOff,
	},
	{
		name: "clocks of functions and senders 7 minutes ahead and behind", long: true, every: 30 * time.Millisecond, pods: 3,
		build: skewed, skew: 7 * time.Minute,
		env:    func(n int) []string { return []string{fmt.Sprintf("%s=%d", skewVariable, 420*(n-1))} },
		during: func(b *bed) { b.kill(3) },
		after:  clocksAreOff,
	},
	{
		// Every time in Redis is then an hour ahead: when a group may be written and ends, until when a lease is held.
		name: "Redis' clock set back by an hour", long: true, clock: true,
		during: func(b *bed) {
			b.clock.Set(-time.Hour)
			b.awaitAnswers(taken, 60)
		},
		after: func(b *bed) {
			now, err := b.data.Time(b.t.Context()).Result()
			assert.NoError(b.t, err)
			assert.WithinDuration(b.t, time.Now().Add(-time.Hour), now, time.Minute)
		},
	},
}

// clocksAreOff checks what the row says, by the times in the functions' logs.
func clocksAreOff(b *bed) {
	for n, p := range b.pods {
		log, err := p.Log()
		assert.NoError(b.t, err)
		assert.InDelta(
			b.t,
			7*(n-1),
			time.Since(lastLogged(b.t, log)).Minutes()*-1,
			3,
			"minutes by which the clock of function %d is ahead",
			n,
		)
	}
}

var timestamp = regexp.MustCompile(`"timestamp":"([^"]+)"`)

// lastLogged is the time of a log's last line.
func lastLogged(t testing.TB, log string) time.Time {
	all := timestamp.FindAllStringSubmatch(log, -1)
	require.NotEmpty(t, all)
	at, err := time.Parse(time.RFC3339Nano, all[len(all)-1][1])
	require.NoError(t, err)
	return at
}

// skewVariable holds the seconds by which the clock of a program made by skewed is ahead.
const skewVariable = "STORMFOLD_TESTBED_SKEW"

// skewed is the function with a wrong clock: the same code, on a standard library whose time.Now adds some seconds to
// the wall clock and nothing to the monotonic one, as on a machine whose clock is wrong.
var skewed = sync.OnceValues(func() (string, error) {
	dir := filepath.Dir(program)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking for GOROOT: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	for old, changed := range map[string]string{
		"func Now() Time {": "var skew = func() (n int64) {\n" +
			"\ts, _ := syscall.Getenv(" + fmt.Sprintf("%q", skewVariable) + ")\n\tnegative := len(s) > 0 && s[0] == '-'\n" +
			"\tfor i := range len(s) {\n\t\tif s[i] != '-' {\n\t\t\tn = 10*n + int64(s[i]-'0')\n\t\t}\n\t}\n" +
			"\tif negative {\n\t\tn = -n\n\t}\n\treturn n\n}()\n\nfunc Now() Time {",
		"\tmono -= startNano\n": "\tsec += skew\n\tmono -= startNano\n",
		"import (\n":            "import (\n\t\"syscall\"\n",
	} {
		if n := bytes.Count(source, []byte(old)); n != 1 {
			return "", fmt.Errorf("%s has %q %d times, expected it once", original, old, n)
		}
		source = bytes.Replace(source, []byte(old), []byte(changed), 1)
	}
	replaced := filepath.Join(dir, "time.go")
	if err := os.WriteFile(replaced, source, 0o644); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replaced}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		return "", err
	}
	return build(filepath.Join(dir, "stormfold-skewed"), "-overlay", filepath.Join(dir, "overlay.json"))
})
