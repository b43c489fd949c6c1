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
	// coalescedEvent is the maximum number of alerts of an event, all of one group, that is folded together with others. A
	// larger notification shares the cost of a call among its own alerts, and would delay the others.
	coalescedEvent = 16
	// coalescedAlerts is the maximum number of alerts folded together: those of one call of the script.
	coalescedAlerts = 256
)

// coalescer folds concurrent events in one round trip. While a fold of a shard is in progress, further events of that
// shard wait, and are then sent together: those of one group in one call, as if they were one notification, other
// groups in further calls. So a burst of events of one alert costs little more than one notification, without a burst
// no event waits, and no event waits for a shard of another server.
//
// An event gets the answer of the call with its alerts. The transitions of that call, and the lease if it was granted,
// go to the first event of the group.
type coalescer struct {
	namespace func(aggregator.Group) string
	next      foldFunc // Its results are in the order of the groups.

	mu     sync.Mutex
	queues [aggregator.Shards]queue
}

// coalesce is the stage of the coalescer.
func (p *pod) coalesce(next foldFunc) foldFunc {
	c := &coalescer{namespace: p.namespace, next: next}
	return c.fold
}

// queue holds what waits for the round trip of a shard.
type queue struct {
	busy bool // A round trip is in progress.
	next *batch
}

// batch is the next round trip: the events that wait for it, at most coalescedAlerts alerts.
type batch struct {
	waiting []*waiter
	alerts  int
}

// waiter is an event of a batch.
type waiter struct {
	ctx    context.Context
	group  aggregator.Group
	sent   bool // The batch is being folded.
	done   chan struct{}
	folded aggregator.Folded
}

// fold folds the groups of an event, with others if it is a small one of one group.
func (c *coalescer) fold(ctx context.Context, groups []aggregator.Group) []folded {
	if len(groups) > 1 || len(groups[0].Alerts) > coalescedEvent {
		return c.next(ctx, groups)
	}
	q := &c.queues[aggregator.ShardOf(groups[0].ID)]
	c.mu.Lock()
	if q.busy {
		w := q.join(ctx, groups[0])
		c.mu.Unlock()
		if w == nil { // The batch is full.
			return c.next(ctx, groups)
		}
		return []folded{{group: w.group, Folded: c.await(q, w)}}
	}
	q.busy = true
	c.mu.Unlock()
	defer c.sendNext(q)
	return c.next(ctx, groups)
}

// join puts an event into the next round trip. It returns nil when that is full. The caller holds the lock.
func (q *queue) join(ctx context.Context, group aggregator.Group) *waiter {
	if q.next == nil {
		q.next = &batch{}
	}
	if q.next.alerts+len(group.Alerts) > coalescedAlerts {
		return nil
	}
	w := &waiter{ctx: ctx, group: group, done: make(chan struct{})}
	q.next.alerts += len(group.Alerts)
	q.next.waiting = append(q.next.waiting, w)
	return w
}

// await waits for the answer to an event. An event that is canceled before it is sent leaves the queue. After that it
// waits for the answer, which may grant a lease.
func (c *coalescer) await(q *queue, w *waiter) aggregator.Folded {
	select {
	case <-w.done:
		return w.folded
	case <-w.ctx.Done():
	}
	c.mu.Lock()
	if w.sent {
		c.mu.Unlock()
		<-w.done
		return w.folded
	}
	defer c.mu.Unlock()
	q.next.alerts -= len(w.group.Alerts)
	q.next.waiting = slices.DeleteFunc(q.next.waiting, func(other *waiter) bool { return other == w })
	kind := aggregator.ErrGivenUp
	if errors.Is(w.ctx.Err(), context.DeadlineExceeded) {
		kind = aggregator.ErrTimeout
	}
	return aggregator.Folded{Err: fmt.Errorf("waiting for the fold before it: %w: %w", kind, w.ctx.Err())}
}

// sendNext sends the waiting batch, if there is one.
func (c *coalescer) sendNext(q *queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := q.next
	q.next = nil
	if q.busy = b != nil && len(b.waiting) > 0; !q.busy {
		return
	}
	for _, w := range b.waiting {
		w.sent = true
	}
	go c.send(q, b.waiting)
}

// send folds a batch and gives each event its answer.
func (c *coalescer) send(q *queue, waiting []*waiter) {
	groups, indexes := c.merge(waiting)
	ctx, cancel := longest(waiting)
	defer cancel()
	results := c.next(ctx, groups)
	c.sendNext(q)
	told := make([]bool, len(groups))
	for n, w := range waiting {
		i := indexes[n]
		if w.folded = results[i].Folded; told[i] {
			w.folded.Token, w.folded.TookOver, w.folded.Transitions, w.folded.NewlyFiring = "", false, nil, 0
		}
		told[i] = true
		close(w.done)
	}
}

// merge makes one group of those that can go in one call, and returns the index of each event's group.
func (c *coalescer) merge(waiting []*waiter) (groups []aggregator.Group, indexes []int) {
	for _, w := range waiting {
		i := slices.IndexFunc(groups, func(g aggregator.Group) bool {
			return g.ID == w.group.ID && g.Policy == w.group.Policy && g.Truncated == w.group.Truncated &&
				c.namespace(g) == c.namespace(w.group)
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

// longest has the latest deadline of the events, and the values of the first. No single event can cancel what others
// wait for.
func longest(waiting []*waiter) (context.Context, context.CancelFunc) {
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
