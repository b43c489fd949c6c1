package function

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

// folds is a Redis that holds each fold up until it is let go, and remembers what it was asked for.
type folds struct {
	coalescer
	mu    sync.Mutex
	asked [][]aggregator.Group
	let   chan error
}

func newFolds() *folds {
	f := &folds{let: make(chan error)}
	f.namespace = func(g aggregator.Group) string { return g.Alerts[0].Labels["namespace"] }
	f.next = func(ctx context.Context, groups []aggregator.Group) (out []folded) {
		f.mu.Lock()
		f.asked = append(f.asked, groups)
		f.mu.Unlock()
		var err error
		select {
		case err = <-f.let:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return failed(groups, err)
		}
		for _, g := range groups {
			out = append(out, folded{group: g, Folded: aggregator.Folded{
				Group: g.ID, Token: "granted", TookOver: true, NewlyFiring: len(g.Alerts), Total: len(g.Alerts), Changed: true,
				Transitions: []aggregator.Transition{{Incident: "i"}},
			}})
		}
		return out
	}
	return f
}

// event folds an event in the background.
func (f *folds) event(ctx context.Context, group aggregator.Group) <-chan aggregator.Folded {
	done := make(chan aggregator.Folded, 1)
	go func() {
		done <- f.fold(ctx, []aggregator.Group{group})[0].Folded
	}()
	synctest.Wait()
	return done
}

var anyPolicy = &testbed.OnePolicy().List[0]

// about is a group with an alert about each pod.
func about(id string, pods ...string) aggregator.Group {
	g := aggregator.Group{ID: id, Policy: anyPolicy}
	for _, pod := range pods {
		g.Alerts = append(g.Alerts, aggregator.Alert{Fingerprint: pod})
	}
	return g
}

func fingerprints(groups []aggregator.Group) []string {
	var out []string
	for _, g := range groups {
		s := g.ID[len(g.ID)-1:] + ":"
		for _, a := range g.Alerts {
			s += " " + a.Fingerprint
		}
		out = append(out, s)
	}
	return out
}

const (
	groupA = "00000000000000aa"
	groupB = "00000000000000bb" // of the same shard
	groupC = "01000000000000cc" // of another one
)

// What comes while a fold is on its way goes as one; each has the answer of its group, and one of them what came of it.
func TestEventsThatWaitAreFoldedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, aggregator.ShardOf(groupA), aggregator.ShardOf(groupB))
		require.NotEqual(t, aggregator.ShardOf(groupA), aggregator.ShardOf(groupC))
		f := newFolds()
		first := f.event(t.Context(), about(groupA, "1"))
		original := about(groupA, "2")
		waiting := []<-chan aggregator.Folded{
			f.event(
				t.Context(),
				original,
			), f.event(t.Context(), about(groupB, "3")), f.event(t.Context(), about(groupA, "4", "5")),
			f.event(t.Context(), about(groupA, "2")),
		}
		elsewhere := f.event(t.Context(), about(groupC, "6"))
		require.Len(t, f.asked, 2, "another shard does not wait")
		f.let <- nil
		f.let <- nil
		require.Equal(t, "granted", (<-first).Token)
		require.Equal(t, "granted", (<-elsewhere).Token)
		synctest.Wait()
		require.Len(t, f.asked, 3, "one call for all that waited")
		require.Equal(t, []string{"a: 2 4 5 2", "b: 3"}, fingerprints(f.asked[2]))
		require.Len(t, original.Alerts, 1, "an event keeps its own alerts")
		f.let <- nil
		for i, want := range []aggregator.Folded{
			{Group: groupA, Token: "granted", TookOver: true, NewlyFiring: 4, Total: 4, Changed: true,
				Transitions: []aggregator.Transition{{Incident: "i"}}},
			{Group: groupB, Token: "granted", TookOver: true, NewlyFiring: 1, Total: 1, Changed: true,
				Transitions: []aggregator.Transition{{Incident: "i"}}},
			{Group: groupA, Total: 4, Changed: true},
			{Group: groupA, Total: 4, Changed: true},
		} {
			got := <-waiting[i]
			require.NoError(t, got.Err)
			require.Equal(t, want, got, i)
		}
		last := f.event(t.Context(), about(groupA, "7"))
		require.Len(t, f.asked, 4, "the queue is free again")
		f.let <- nil
		require.NoError(t, (<-last).Err)
	})
}

// An event that gives up while it waits leaves the queue, and its alerts with it. Once they are on their way it has the
// answer, even when it has no time left: a lease that was granted, and what came of it, is never told to nobody.
func TestAnEventThatGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolds()
		first := f.event(t.Context(), about(groupA, "1"))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		long, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gone, stays := f.event(short, about(groupA, "2")), f.event(long, about(groupA, "3"))
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, (<-gone).Err, aggregator.ErrTimeout)
		f.let <- nil
		<-first
		f.let <- nil
		got := <-stays
		require.NoError(t, got.Err)
		require.Equal(t, "granted", got.Token)
		require.Len(t, got.Transitions, 1)
		require.Equal(t, []string{"a: 3"}, fingerprints(f.asked[1]))

		given, cancel := context.WithCancel(t.Context())
		first = f.event(t.Context(), about(groupA, "1"))
		gone = f.event(given, about(groupA, "2"))
		cancel()
		got = <-gone
		require.ErrorIs(t, got.Err, context.Canceled)
		require.ErrorIs(t, got.Err, aggregator.ErrGivenUp)
		f.let <- nil
		<-first
		synctest.Wait()
		require.Len(t, f.asked, 3, "nobody waits: nothing is folded")

		given, cancel = context.WithCancel(t.Context())
		first = f.event(t.Context(), about(groupA, "1"))
		late := f.event(given, about(groupA, "2"))
		f.let <- nil
		<-first
		synctest.Wait()
		require.Len(t, f.asked, 5)
		cancel()
		synctest.Wait()
		f.let <- nil
		got = <-late
		require.NoError(t, got.Err)
		require.Equal(t, "granted", got.Token)
		require.Len(t, got.Transitions, 1)

		last := f.event(t.Context(), about(groupA, "3"))
		f.let <- nil
		require.NoError(t, (<-last).Err, "the queue is free again")
	})
}

// A batch has the time of the event that has most of it, and an error is that of all of its events.
func TestABatchThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolds()
		first := f.event(t.Context(), about(groupA, "1"))
		var waiting []<-chan aggregator.Folded
		for _, d := range []time.Duration{time.Second, 3 * time.Second, 2 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			waiting = append(waiting, f.event(ctx, about(groupA, fmt.Sprint(d))))
		}
		f.let <- nil
		<-first
		began := time.Now()
		for _, w := range waiting {
			require.Error(t, (<-w).Err)
		}
		synctest.Wait()
		require.Equal(t, 3*time.Second, time.Since(began))

		first = f.event(t.Context(), about(groupA, "1"))
		waiting = []<-chan aggregator.Folded{
			f.event(t.Context(), about(groupA, "2")),
			f.event(t.Context(), about(groupB, "3")),
		}
		f.let <- nil
		<-first
		f.let <- aggregator.ErrOutOfMemory
		for _, w := range waiting {
			got := <-w
			require.ErrorIs(t, got.Err, aggregator.ErrOutOfMemory)
		}
	})
}

// What would not be the same in one call goes in calls of its own, and what is large, or of several groups, goes at
// once.
func TestWhatIsNotFoldedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolds()
		var all []<-chan aggregator.Folded
		fold := func(g aggregator.Group) { all = append(all, f.event(t.Context(), g)) }
		fold(about(groupA, "1"))
		truncated, reloaded, elsewhere := about(groupA, "2"), about(groupA, "3"), about(groupA, "4")
		truncated.Truncated = true
		reloaded.Policy = &testbed.OnePolicy().List[0]
		elsewhere.Alerts[0].Labels = map[string]string{"namespace": "shop"}
		for _, g := range []aggregator.Group{truncated, reloaded, elsewhere, about(groupA, "5")} {
			fold(g)
		}
		require.Len(t, f.asked, 1)
		fold(about(groupA, make([]string, coalescedEvent+1)...))
		require.Len(t, f.asked, 2, "a notification goes at once")
		several := make(chan error)
		go func() {
			several <- firstError(f.fold(t.Context(), []aggregator.Group{about(groupA, "6"), about(groupC, "7")}))
		}()
		synctest.Wait()
		require.Len(t, f.asked, 3, "and what is of several groups")
		for len(f.asked) < 4 {
			fold(about(groupA, make([]string, coalescedEvent)...))
		}
		waiting := f.queues[aggregator.ShardOf(groupA)].next
		require.Equal(
			t,
			4+coalescedEvent*((coalescedAlerts-4)/coalescedEvent),
			waiting.alerts,
			"what has no room goes at once",
		)
		go func() {
			for range all {
				select {
				case f.let <- nil:
				case <-t.Context().Done():
				}
			}
		}()
		require.NoError(t, <-several)
		for _, a := range all {
			require.NoError(t, (<-a).Err)
		}
		got := fingerprints(f.asked[4])
		require.Equal(t, []string{"a: 2", "a: 3", "a: 4"}, got[:3])
		require.Regexp(t, "^a: 5 +$", got[3])
		require.Len(t, got, 4)
	})
}

// Events by the thousand, of which some give up: each has its answer, what was answered well is folded once, what was
// not is not folded, and every lease is told to an event.
func TestManyEventsAreFoldedTogether(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	leases := 0
	f := &coalescer{namespace: func(aggregator.Group) string { return "" }}
	f.next = func(_ context.Context, groups []aggregator.Group) (out []folded) {
		mu.Lock()
		defer mu.Unlock()
		for _, g := range groups {
			for _, a := range g.Alerts {
				seen[a.Fingerprint]++
			}
			leases++
			out = append(out, folded{group: g, Folded: aggregator.Folded{Group: g.ID, Token: "granted"}})
		}
		return out
	}
	var all sync.WaitGroup
	taken, refused := 0, 0
	for i := range 5000 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%7 == 0 {
				go cancel()
			}
			got := f.fold(ctx, []aggregator.Group{about([]string{groupA, groupB, groupC}[i%3], fmt.Sprint(i))})[0]
			mu.Lock()
			defer mu.Unlock()
			if got.Err != nil {
				refused++
				require.ErrorIs(t, got.Err, context.Canceled)
				require.Zero(t, i%7)
				require.NotContains(t, seen, fmt.Sprint(i))
			}
			if got.Token != "" {
				taken++
			}
		})
	}
	all.Wait()
	require.Equal(t, 5000-refused, len(seen))
	for fingerprint, n := range seen {
		require.Equal(t, 1, n, fingerprint)
	}
	require.Equal(t, leases, taken)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.queues {
		require.Nil(t, l.next)
	}
}
