package testbed_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// parentVariable turns TestKilledParentTakesItsChildrenAlong into the parent that is killed.
const parentVariable = "STORMFOLD_TESTBED_TEST_PARENT"

func TestKilledParentTakesItsChildrenAlong(t *testing.T) {
	if os.Getenv(parentVariable) != "" {
		child := testbed.Start(t, "sleep", nil, "/bin/sleep", "60")
		fmt.Printf("child %d\n", child.Pid())
		require.NoError(t, child.Wait())
		return
	}
	t.Parallel()
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), parentVariable+"=1")
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	var pid int
	for lines := bufio.NewScanner(output); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "child %d", &pid)
	}
	require.NotZero(t, pid)
	require.True(t, alive(pid))

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	assert.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 10*time.Millisecond)
}

func TestStopEndsWhatTheProcessStarted(t *testing.T) {
	t.Parallel()
	process := testbed.Start(t, "shell", []string{"WORD=started"}, "/bin/sh", "-c",
		`trap "" TERM; /bin/sleep 60 & trap "exit 3" TERM; echo "$WORD $!"; wait`)
	var pid int
	require.Eventually(t, func() bool {
		log, err := process.Log()
		require.NoError(t, err)
		_, err = fmt.Sscanf(log, "started %d\n", &pid)
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, process.Stop())
	assert.EqualError(t, process.Wait(), "exit status 3")
	assert.False(t, process.Running())
	assert.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 10*time.Millisecond,
		"the grandchild ignores SIGTERM")
}

// alive reports whether a process runs; one that only waits to be collected by an init does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && syscall.Kill(pid, 0) == nil
}
