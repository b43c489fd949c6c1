package function

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSchedulerProjectsWhenTheTimeHasCome(t *testing.T) {
	var got []string
	s := newScheduler(1, func(group, token string, now bool, _ cause) { got = append(got, fmt.Sprint(group, token, now)) })
	later := s.schedule("g", time.Now().Add(time.Hour), "", cause{})
	sooner := s.schedule("g", time.Now(), "t", cause{})
	<-sooner
	<-later
	require.Equal(t, []string{"gtfalse"}, got, "once, at the earlier time, with the lease")
	require.Zero(t, s.size())
}

func TestSchedulerLimitsWhatRunsAtOnce(t *testing.T) {
	var running, most atomic.Int32
	release := make(chan struct{})
	s := newScheduler(3, func(string, string, bool, cause) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		running.Add(-1)
	})
	var done []<-chan struct{}
	for i := range 20 {
		done = append(done, s.schedule(fmt.Sprint(i), time.Now(), "", cause{}))
	}
	require.Eventually(t, func() bool { return running.Load() == 3 }, 10*time.Second, time.Millisecond)
	close(release)
	for _, d := range done {
		<-d
	}
	require.EqualValues(t, 3, most.Load())
}

// A request waits for its own write, and not for those of others.
func TestSchedulerStartsOnlyWhereThereIsRoom(t *testing.T) {
	var mu sync.Mutex
	var got []string
	release := make(chan struct{})
	s := newScheduler(1, func(group, token string, _ bool, _ cause) {
		<-release
		mu.Lock()
		defer mu.Unlock()
		got = append(got, group+token)
	})
	later := s.schedule("a", time.Now().Add(time.Hour), "", cause{})
	first := s.start("a", "1", cause{})
	require.NotNil(t, first)
	require.Nil(t, s.start("b", "2", cause{}), "the only slot is taken")
	require.Equal(t, 1, s.size(), "it waits in line")
	close(release)
	<-first
	<-later
	require.Eventually(t, func() bool { return s.size() == 0 }, 10*time.Second, time.Millisecond)
	s.drain()
	mu.Lock()
	require.Equal(t, []string{"a1", "b2"}, got, "each once, with the lease")
	mu.Unlock()
	<-s.start("c", "3", cause{}) // Closed: it stays due in Redis.
	require.Len(t, got, 2)
}

func TestSchedulerDrainsWhatIsScheduled(t *testing.T) {
	var mu sync.Mutex
	got := map[string]bool{}
	s := newScheduler(2, func(group, _ string, now bool, _ cause) {
		mu.Lock()
		defer mu.Unlock()
		got[group] = now
	})
	for i := range 5 {
		s.schedule(fmt.Sprint(i), time.Now().Add(time.Hour), "", cause{})
	}
	s.drain()
	require.Equal(t, map[string]bool{"0": true, "1": true, "2": true, "3": true, "4": true}, got)
	<-s.schedule("late", time.Now(), "", cause{}) // Closed: it stays due in Redis.
	require.NotContains(t, got, "late")
}
