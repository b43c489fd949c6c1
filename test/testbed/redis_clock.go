package testbed

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// WallClock is the wall clock of one server, which can be set while it runs.
type WallClock struct {
	t    testing.TB
	path string
}

// Set sets it that far ahead of this machine's, or behind it. What measures how time passes notices nothing.
func (w *WallClock) Set(ahead time.Duration) {
	w.t.Helper()
	file, err := os.OpenFile(w.path, os.O_WRONLY, 0) // Written in place: the server has it mapped.
	if err != nil {
		w.t.Errorf("testbed: %v", err)
		return
	}
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second))), 0)
	if err := file.Close(); err != nil {
		w.t.Errorf("testbed: %v", err)
	}
	if err != nil {
		w.t.Errorf("testbed: %v", err)
	}
}

// TrialRedisWithClock is TrialRedis with a wall clock that can be set. It needs a C compiler, as the race detector
// does.
func TrialRedisWithClock(t testing.TB, settings ...string) (*RedisServer, *WallClock) {
	t.Helper()
	clock := &WallClock{t: t, path: filepath.Join(t.TempDir(), "clock")}
	library := filepath.Join(t.TempDir(), "clock.so")
	root, err := projectDir()
	if err == nil {
		err = os.WriteFile(clock.path, make([]byte, 8), 0o644)
	}
	if err == nil {
		var output []byte
		output, err = exec.Command("cc", "-shared", "-fPIC", "-O2", "-o", library, filepath.Join(root,
			"test/testbed/clock/clock.c")).
			CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build clock.c with cc: %w\n%s", err, output)
		}
	}
	var r *RedisServer
	if err == nil {
		r, err = startShipped(
			t.TempDir(),
			"trial/start.sh",
			Port(t),
			settings,
			"LD_PRELOAD="+library,
			"STORMFOLD_TESTBED_CLOCK="+clock.path,
		)
	}
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	r.endWith(t)
	return r, clock
}
