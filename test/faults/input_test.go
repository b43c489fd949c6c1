package faults

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

const (
	mutations = 10_000
	// mostMemory is the bound of the function's memory in MiB, whatever comes in: the largest body times the clients that
	// send at once, and what decoding takes. The race detector needs several times as much.
	mostMemory     = 192
	mostMemoryRace = 768
)

// inputPolicies keep what the mutations make up apart from what the test looks at, and in bounds.
const inputPolicies = `
policies:
- name: known
  match: ['known="yes"']
  groupBy: [namespace, alertname]
  threshold: 5
  window: 1h
  quiet: 2h
  maxDuration: 3h
  retention: 1h
  flush: {min: 100ms, max: 1s}
- name: mutated
  groupBy: [namespace, alertname]
  threshold: 5
  window: 1m
  quiet: 1h
  maxDuration: 2h
  retention: 1h
  maxGroups: 4
  flush: {min: 500ms, max: 5s}
`

// TestInput: 10,000 mutated events and all the nastiness that comes to mind, against one real function behind real
// HTTP. It goes on running in bounded memory, answers what is bad 4xx with a sentence, counts what is fine, and the
// groups that are none of the mutations' business stay exact.
func TestInput(t *testing.T) {
	t.Parallel()
	b := newBed(t, shared, fault{})
	path := t.TempDir() + "/policies.yaml"
	require.NoError(t, os.WriteFile(path, []byte(inputPolicies), 0o644))
	metrics := "127.0.0.1:" + strconv.Itoa(testbed.Port(t))
	// On a machine that does many things at once Redis takes its time, which is not what this is about.
	b.addPods(
		1,
		"STORMFOLD_REDIS_TIMEOUT=20s",
		"STORMFOLD_REQUEST_TIMEOUT=25s",
		"STORMFOLD_POLICIES="+path,
		"STORMFOLD_METRICS_ADDRESS="+metrics,
		"STORMFOLD_KUBE_QPS=1000",
		"STORMFOLD_KUBE_BURST=1000",
	)
	b.awaitReady()
	require.False(t, t.Failed())
	process := b.pods[0].Process
	in := &input{bed: b, answers: map[int]int{}, client: &http.Client{
		// A body that is refused unread may break the connection under the answer; asking first avoids that.
		Transport: &http.Transport{
			MaxIdleConnsPerHost:   deliveries,
			ExpectContinueTimeout: 10 * time.Second,
		}, Timeout: time.Minute,
	}}
	t.Cleanup(in.client.CloseIdleConnections)

	for n := range 6 {
		in.known("Still", n)
	}
	still := in.standing("Still", 6)
	for n := range 3 {
		in.known("Counting", n)
	}
	in.nasty()
	in.mutate(t)
	sent := time.Now()
	total := in.refused()
	v, clean := in.settled(time.Minute)
	t.Logf("%s", v)
	require.NoError(t, v.Err())
	v.Events, v.Refused = total+in.answers[200], total
	table.add(row{fmt.Sprintf("%d mutated events", mutations), false, v, clean.Sub(sent)})

	require.True(t, process.Running(), "the function goes on")
	require.Same(t, process, b.pods[0].Process)
	log, err := process.Log()
	require.NoError(t, err)
	require.NotContains(t, log, "panic")
	require.Equal(t, still, in.standing("Still", 6), "a group that nobody spoke of")
	in.standing("Counting", 3+mutations/500)
	keys, used := in.redis(t)
	peak := in.memory(t, process.Pid())
	t.Logf("answers %v, largest memory %d MiB, %d keys of %d KiB in Redis", in.answers, peak, keys, used>>10)
	bound := mostMemory
	if len(raceFlag) > 0 {
		bound = mostMemoryRace
	}
	require.LessOrEqual(t, peak, bound, "MiB of memory")
	require.Equal(t, total, in.counted(t, metrics), "every refusal is counted")
	require.Greater(t, in.answers[200], mutations/20, "many mutations are still events")
	require.Greater(t, in.answers[400], mutations/5, "many are not")
}

// input is what one run has sent and heard.
type input struct {
	*bed
	client *http.Client

	mu      sync.Mutex
	answers map[int]int
}

// request is what is sent: headers as they are, an event in either mode, or none.
type request struct {
	header http.Header
	body   []byte
	// chunked sends the body without a length.
	chunked bool
}

// send sends a request once, and judges every answer: 2xx, or 4xx with one sentence.
func (in *input) send(r request) (int, string) {
	var body io.Reader = bytes.NewReader(r.body)
	if r.chunked {
		body = struct{ io.Reader }{body}
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(in.t.Context()), http.MethodPost, in.pods[0].url, body)
	if !assert.NoError(in.t, err) {
		return 0, ""
	}
	req.Header = r.header.Clone()
	if len(r.body) > 4<<20 {
		req.Header.Set("Expect", "100-continue")
	}
	response, err := in.client.Do(req)
	if !assert.NoError(in.t, err, "no answer to %.300q %v", r.body, r.header) {
		return 0, ""
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	assert.NoError(in.t, err)
	text := strings.TrimSpace(string(raw))
	in.mu.Lock()
	in.answers[response.StatusCode]++
	in.mu.Unlock()
	switch response.StatusCode / 100 {
	case 2:
	case 4:
		sentence := len(text) > 10 && len(text) < 1000 && !strings.ContainsAny(text, "\n\r\x00")
		assert.True(in.t, sentence, "the answer %d %.1200q to %.300q %v", response.StatusCode, text, r.body, r.header)
	default:
		assert.Fail(
			in.t,
			"neither taken nor refused for good",
			"the answer %d %.500q to %.2000q %v",
			response.StatusCode,
			text,
			r.body,
			r.header,
		)
	}
	return response.StatusCode, text
}

// known sends one alert of a group that the mutations cannot reach.
func (in *input) known(name string, n int) {
	in.handMade(nasty{name: name, want: 200, alerts: []map[string]string{{
		"known": "yes", "alertname": name, "namespace": in.namespace, "pod": fmt.Sprintf("web-%d", n), "severity": "critical",
	}}})
}

// handMade sends a case, with its alerts in the journal, and checks its answer.
func (in *input) handMade(n nasty) {
	in.t.Helper()
	r, words := n.request()
	answered := in.journal.Sending(words...)
	code, text := in.send(r)
	answered(code, text)
	assert.Equal(in.t, n.want, code, "%s: %s", n.name, text)
}

// clients is how many send at once: an event that opens an incident waits for it.
const clients = 16

// nasty sends the cases made by hand.
func (in *input) nasty() {
	var all sync.WaitGroup
	for chunk := range slices.Chunk(nastiness(in.namespace), 40) {
		all.Go(func() {
			for _, n := range chunk {
				in.handMade(n)
			}
		})
	}
	all.Wait()
}

// mutate sends the mutated events from several clients, and in between alerts of a group that has to stay exact.
func (in *input) mutate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed of the mutations: %d", seed)
	bases, err := corpus("../../handlers/testdata")
	require.NoError(t, err)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			m := &mutator{rand.New(rand.NewPCG(seed, uint64(c)))}
			for i := c; i < mutations; i += clients {
				in.send(m.request(bases[m.IntN(len(bases))], in.namespace, i))
				if i%500 == 0 {
					in.known("Counting", 3+i/500)
				}
			}
		})
	}
	all.Wait()
}

// knownIncidents are those of alerts that are in the journal.
func (in *input) knownIncidents() ([]v1alpha1.Incident, error) {
	items, err := in.list(in.t.Context())
	return slices.DeleteFunc(items, func(i v1alpha1.Incident) bool { return i.Spec.Policy != "known" }), err
}

// settled waits until everything accepted is in Kubernetes and nothing is due, of the mutations' groups neither.
func (in *input) settled(within time.Duration) (v Verdict, clean time.Time) {
	in.await(within, func() error {
		items, err := in.knownIncidents()
		if err != nil {
			return err
		}
		v, clean = Check(in.journal, items), time.Now()
		if err := v.Err(); err != nil {
			return err
		}
		return in.nothingDue()
	})
	return v, clean
}

// standing waits for the storm of a group with that many alerts and returns it.
func (in *input) standing(name string, alerts int) (storm v1alpha1.Incident) {
	in.t.Helper()
	in.await(20*time.Second, func() error {
		items, err := in.knownIncidents()
		if err != nil {
			return err
		}
		for _, i := range items {
			if i.Spec.AlertName == name && i.Status.State == v1alpha1.StateFiring && int(i.Status.Alerts.Firing) == alerts {
				storm = i
				return nil
			}
		}
		return fmt.Errorf("no incident of %s has %d alerts", name, alerts)
	})
	return storm
}

var ours = regexp.MustCompile(
	`^\{sf:(0\d|1[0-5])\}:(due|groups|epoch|server|format|g:[0-9a-f]{16}(:(alerts|recent|objects|open|todo|waiting))?|o:[0-9a-f]{16}o(:parts)?)$`,
)

// redis checks that no key is there but ours, and returns how many there are and the memory they use.
func (in *input) redis(t *testing.T) (keys int, used int64) {
	t.Helper()
	c := in.bed.redis.Client()
	all := c.Scan(t.Context(), 0, "*", 1000).Iterator()
	for all.Next(t.Context()) {
		assert.Regexp(t, ours, all.Val())
		size, err := c.MemoryUsage(t.Context(), all.Val()).Result()
		assert.NoError(t, err)
		used += size
		keys++
	}
	require.NoError(t, all.Err())
	return keys, used
}

// memory is the most that the process ever had, in MiB.
func (in *input) memory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	require.True(t, found)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return kib >> 10
}

// refused is how many requests were refused for good.
func (in *input) refused() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := 0
	for code := range maps.Keys(in.answers) {
		if code/100 == 4 {
			n += in.answers[code]
		}
	}
	return n
}

// counted is the number of permanent refusals in the function's own metrics.
func (in *input) counted(t *testing.T, address string) int {
	t.Helper()
	response, err := in.client.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bufio.NewReader(response.Body))
	require.NoError(t, err)
	sum := 0.0
	for _, m := range families["stormfold_requests_refused_total"].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	for _, m := range families["stormfold_events_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "result" && l.GetValue() != "ok" {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}
