package function

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stormfold/stormfold/aggregator"
)

const (
	// togetherEvent is how many alerts an event has at most that is folded together with others. A notification of more shares the
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
// one of the events that still wait for it.
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

// batch is a round trip to be.
type batch struct {
	groups   []aggregator.Group
	shared   []bool // for each group: its alerts are those of several events, in a list of its own
	alerts   int
	waiting  []*waiter
	ctx      context.Context // of the first event, for its values
	deadline time.Time       // the latest of the events; zero: one of them has none
}

// waiter is an event of a batch.
type waiter struct {
	index  int // of its group in the batch
	done   chan struct{}
	folded aggregator.Folded
	gone   bool // Nobody waits any more.
}

// groups folds the groups of an event, with others if it is a small one: then it has one group.
func (t *together) groups(ctx context.Context, groups []aggregator.Group) ([]aggregator.Folded, error) {
	if len(groups) > 1 || len(groups[0].Alerts) > togetherEvent {
		return t.fold(ctx, groups)
	}
	group := groups[0]
	l := &t.lines[aggregator.ShardOf(group.ID)]
	t.mu.Lock()
	if l.busy {
		if w := l.join(ctx, group, t.namespace); w != nil {
			t.mu.Unlock()
			folded := t.await(ctx, w)
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
func (l *line) join(ctx context.Context, group aggregator.Group, namespace func(aggregator.Group) string) *waiter {
	if l.next == nil {
		l.next = &batch{ctx: context.WithoutCancel(ctx)}
		l.next.deadline, _ = ctx.Deadline()
	}
	b := l.next
	if b.alerts+len(group.Alerts) > togetherAlerts {
		return nil
	}
	if d, ok := ctx.Deadline(); !ok || b.deadline.IsZero() {
		b.deadline = time.Time{}
	} else if d.After(b.deadline) {
		b.deadline = d
	}
	b.alerts += len(group.Alerts)
	w := &waiter{index: len(b.groups), done: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	for i := range b.groups {
		if g := &b.groups[i]; g.ID == group.ID && g.Policy == group.Policy && g.Truncated == group.Truncated && namespace(*g) == namespace(group) {
			w.index = i
			if !b.shared[i] {
				b.shared[i], g.Alerts = true, slices.Clone(g.Alerts)
			}
			g.Alerts = append(g.Alerts, group.Alerts...)
			return w
		}
	}
	b.groups, b.shared = append(b.groups, group), append(b.shared, false)
	return w
}

// await waits for the answer to an event.
func (t *together) await(ctx context.Context, w *waiter) aggregator.Folded {
	select {
	case <-w.done:
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		select {
		case <-w.done:
		default:
			w.gone = true
			kind := aggregator.ErrUnavailable
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				kind = aggregator.ErrTimeout
			}
			return aggregator.Folded{Err: fmt.Errorf("waiting for the fold before it: %w: %w", kind, ctx.Err())}
		}
	}
	return w.folded
}

// goOn sends what has waited, if anything has.
func (t *together) goOn(l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := l.next
	l.next = nil
	if l.busy = b != nil; l.busy {
		go t.send(l, b)
	}
}

// send folds a batch and gives each event its answer.
func (t *together) send(l *line, b *batch) {
	ctx, cancel := b.ctx, context.CancelFunc(func() {})
	if !b.deadline.IsZero() {
		ctx, cancel = context.WithDeadline(b.ctx, b.deadline)
	}
	defer cancel()
	folded, err := t.fold(ctx, b.groups)
	t.goOn(l)
	t.mu.Lock()
	defer t.mu.Unlock()
	told := make([]bool, len(b.groups))
	for _, w := range b.waiting {
		if len(folded) == 0 {
			w.folded = aggregator.Folded{Err: err}
		} else if w.folded = folded[w.index]; told[w.index] {
			w.folded.Token, w.folded.TookOver, w.folded.Transitions, w.folded.NewlyFiring = "", false, nil, 0
		}
		told[w.index] = told[w.index] || !w.gone
		close(w.done)
	}
}
