package function

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stormfold/stormfold/aggregator"
)

const (
	// togetherEvent is how many alerts an event has at most, all of one group, that is folded together with others. A notification of more shares the
	// cost of a call among its own alerts, and would hold up the rest.
	togetherEvent = 16
	// togetherAlerts is how many alerts are folded together at most: those of one call of the script.
	togetherAlerts = 256
)

// together folds events that come at the same moment in one round trip. While a fold of a shard is on its way, further events of
// that shard wait, and then go as one: those of the same group in one call, as if one notification had brought them, the other
// groups in calls beside it. So a burst of events of one alert costs little more than a notification of as many, nobody waits
// when there is no burst, and nothing waits for a shard of another server.
//
// An event has the answer of the call that took its alerts. What that call brought about, and the lease if it was granted one, goes to
// the first event of the group.
type together struct {
	fold      func(ctx context.Context, groups []aggregator.Group) ([]aggregator.Folded, error)
	namespace func(aggregator.Group) string

	mu    sync.Mutex
	lines [aggregator.Shards]line
}

// line is what a shard has on its way, and what waits for that.
type line struct {
	busy bool
	next *batch
}

// batch is a round trip to be: the events that wait for it, at most togetherAlerts alerts.
type batch struct {
	waiting []*waiter
	alerts  int
}

// waiter is an event of a batch.
type waiter struct {
	ctx    context.Context
	group  aggregator.Group
	sent   bool // The batch is on its way.
	done   chan struct{}
	folded aggregator.Folded
}

// groups folds the groups of an event, with others if it is a small one of one group.
func (t *together) groups(ctx context.Context, groups []aggregator.Group) ([]aggregator.Folded, error) {
	if len(groups) > 1 || len(groups[0].Alerts) > togetherEvent {
		return t.fold(ctx, groups)
	}
	l := &t.lines[aggregator.ShardOf(groups[0].ID)]
	t.mu.Lock()
	if l.busy {
		if w := l.join(ctx, groups[0]); w != nil {
			t.mu.Unlock()
			folded := t.await(l, w)
			return []aggregator.Folded{folded}, folded.Err
		}
		t.mu.Unlock() // Too many to go together: each for itself.
		return t.fold(ctx, groups)
	}
	l.busy = true
	t.mu.Unlock()
	defer t.goOn(l)
	return t.fold(ctx, groups)
}

// join puts an event into the next round trip. It returns nil when that is full. The caller holds the lock.
func (l *line) join(ctx context.Context, group aggregator.Group) *waiter {
	if l.next == nil {
		l.next = &batch{}
	}
	if l.next.alerts+len(group.Alerts) > togetherAlerts {
		return nil
	}
	w := &waiter{ctx: ctx, group: group, done: make(chan struct{})}
	l.next.alerts += len(group.Alerts)
	l.next.waiting = append(l.next.waiting, w)
	return w
}

// await waits for the answer to an event. An event that gives up before it is sent leaves the line. After that it has the answer, which
// may be a lease, even if it comes a little late.
func (t *together) await(l *line, w *waiter) aggregator.Folded {
	select {
	case <-w.done:
		return w.folded
	case <-w.ctx.Done():
	}
	t.mu.Lock()
	if w.sent {
		t.mu.Unlock()
		<-w.done
		return w.folded
	}
	defer t.mu.Unlock()
	l.next.alerts -= len(w.group.Alerts)
	l.next.waiting = slices.DeleteFunc(l.next.waiting, func(other *waiter) bool { return other == w })
	kind := aggregator.ErrGivenUp
	if errors.Is(w.ctx.Err(), context.DeadlineExceeded) {
		kind = aggregator.ErrTimeout
	}
	return aggregator.Folded{Err: fmt.Errorf("waiting for the fold before it: %w: %w", kind, w.ctx.Err())}
}

// goOn sends what has waited, if anything has.
func (t *together) goOn(l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := l.next
	l.next = nil
	if l.busy = b != nil && len(b.waiting) > 0; !l.busy {
		return
	}
	for _, w := range b.waiting {
		w.sent = true
	}
	go t.send(l, b.waiting)
}

// send folds a batch and gives each event its answer.
func (t *together) send(l *line, waiting []*waiter) {
	groups, indexes := t.merge(waiting)
	ctx, cancel := budget(waiting)
	defer cancel()
	folded, err := t.fold(ctx, groups)
	t.goOn(l)
	told := make([]bool, len(groups))
	for n, w := range waiting {
		i := indexes[n]
		if len(folded) == 0 {
			w.folded = aggregator.Folded{Err: err}
		} else if w.folded = folded[i]; told[i] {
			w.folded.Token, w.folded.TookOver, w.folded.Transitions, w.folded.NewlyFiring = "", false, nil, 0
		}
		told[i] = true
		close(w.done)
	}
}

// merge makes one group of those that can go in one call, and tells for each event which group is its.
func (t *together) merge(waiting []*waiter) (groups []aggregator.Group, indexes []int) {
	for _, w := range waiting {
		i := slices.IndexFunc(groups, func(g aggregator.Group) bool {
			return g.ID == w.group.ID && g.Policy == w.group.Policy && g.Truncated == w.group.Truncated && t.namespace(g) == t.namespace(w.group)
		})
		if i < 0 {
			i = len(groups)
			group := w.group
			group.Alerts = nil // An event keeps its own.
			groups = append(groups, group)
		}
		groups[i].Alerts = append(groups[i].Alerts, w.group.Alerts...)
		if !strings.Contains(groups[i].Notifications, w.group.Notifications) {
			groups[i].Notifications += w.group.Notifications
		}
		indexes = append(indexes, i)
	}
	return groups, indexes
}

// budget is the time of the event that has most of it, and the values of the first. None of them can cancel what others wait for.
func budget(waiting []*waiter) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(waiting[0].ctx)
	var latest time.Time
	for _, w := range waiting {
		deadline, ok := w.ctx.Deadline()
		if !ok {
			return ctx, func() {}
		}
		if deadline.After(latest) {
			latest = deadline
		}
	}
	return context.WithDeadline(ctx, latest)
}
