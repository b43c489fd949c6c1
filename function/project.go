package function

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stormfold/stormfold/aggregator"
)

const (
	// rounds is the number of snapshots that a pod takes of one group in a row, of 20 objects each, before other groups
	// get a turn.
	rounds = 4
	// retryAfter is the pause before a failed write is tried again, without the jitter of up to the same time.
	retryAfter = 2 * time.Second
	// afterPanic is when a group is tried again whose writing panicked.
	afterPanic = 30 * time.Second
	// importWait is the pause before a group of a shard that is being imported is tried again.
	importWait = 500 * time.Millisecond
)

// project writes one group: snapshot, Kubernetes, settle. What fails stays due in Redis, and scheduled.
func (p *pod) project(group, token string, now bool, why cause) {
	ctx, cancel := context.WithTimeout(context.Background(), p.settings.Lease)
	defer cancel()
	ctx, span := p.projectionSpan(ctx, group, why)
	defer span.End()
	why.within = false // The event does not wait for later writes.
	for range rounds {
		next := step{wait: afterPanic, token: token}
		_ = p.catchPanics(inGroup, func() error {
			next = p.projectOnce(ctx, group, token, now)
			return nil
		})
		token = next.token
		switch {
		case next.more:
		case next.wait == 0:
			return
		case p.scheduler.draining() && !now:
			now = true // This pod stops, so write now.
		default:
			p.scheduler.schedule(group, time.Now().Add(next.wait), token, why)
			return
		}
	}
	p.scheduler.schedule(group, time.Now(), token, why)
}

// step is what to do next for a group.
type step struct {
	// wait is the time until the next try; 0: forget the group.
	wait time.Duration
	// more: it should go on at once.
	more bool
	// token is a lease that may still be held, since a call failed or its answer was lost: no other pod can write the
	// group until it is over.
	token string
}

// projectOnce writes one snapshot of a group. An empty token is a new one.
func (p *pod) projectOnce(ctx context.Context, group, token string, now bool) step {
	start := time.Now()
	if token == "" {
		token = uuid.NewString()
	}
	snapshot, err := p.aggregator.Snapshot(ctx, group, token, now)
	var busy *aggregator.Busy
	switch {
	case errors.As(err, &busy):
		p.metrics.projected("busy", time.Since(start))
		projectedSpan(ctx, "busy", nil)
		return step{wait: max(busy.Until.Sub(p.aggregator.Now()), time.Millisecond)}
	case errors.Is(err, aggregator.ErrNotImported):
		done, err := p.importShard(ctx, aggregator.ShardOf(group), "")
		projectedSpan(ctx, "import", err)
		if err != nil {
			p.log.Warnw("shard cannot be imported", "group", group, "error", err)
			return step{wait: jittered(retryAfter), token: token}
		}
		return step{wait: importWait, more: done, token: token}
	case errors.Is(err, aggregator.ErrWaiting):
		folded, err := p.aggregator.Replay(ctx, group)
		projectedSpan(ctx, "replay", err)
		if err != nil {
			p.metrics.redisFailed(err)
			p.log.Warnw("alerts that waited for the import cannot be folded", "group", group, "error", err)
			return step{wait: jittered(retryAfter), token: token}
		}
		p.logTransitions(ctx, folded.Transitions)
		return step{more: true, token: token}
	case err != nil:
		p.metrics.unread(err, time.Since(start))
		projectedSpan(ctx, "redis", err)
		p.log.Warnw("group cannot be read", "group", group, "error", err)
		return step{wait: jittered(retryAfter), token: token}
	case snapshot == nil:
		return step{}
	}
	p.logTransitions(ctx, snapshot.Transitions)
	if len(snapshot.Objects) == 0 {
		return step{}
	}
	confirmed, writeErr := p.projector.Project(ctx, snapshot)
	delay := time.Duration(0)
	if writeErr != nil {
		delay = jittered(retryAfter)
		p.log.Warnw("incidents cannot be written", "group", group, "written", len(confirmed),
			"of", len(snapshot.Objects), "error", writeErr)
	}
	// The timeout for writing may be over; confirming what was written must not depend on it.
	settleCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.settings.RedisTimeout)
	defer cancel()
	due, err := p.aggregator.Settle(settleCtx, snapshot, confirmed, delay)
	if err == nil && slices.ContainsFunc(confirmed, func(c aggregator.Confirmed) bool { return c.Missing }) {
		err = p.aggregator.LookAgain(settleCtx) // Other objects may be gone too.
	}
	p.metrics.settled(snapshot, confirmed, errors.Join(writeErr, err), time.Since(start))
	settledSpan(ctx, snapshot, confirmed, errors.Join(writeErr, err))
	if err != nil {
		p.log.Warnw("written incidents cannot be confirmed in Redis", "group", group, "error", err)
		return step{wait: jittered(retryAfter), token: token}
	}
	wait := due.Sub(p.aggregator.Now())
	switch {
	case writeErr != nil:
		return step{wait: max(wait, delay)}
	case wait <= 0:
		return step{more: true}
	case wait > p.settings.SweepInterval:
		return step{} // The deadline is hours away; the sweep finds it.
	default:
		return step{wait: wait}
	}
}

// jittered is between d and 2 d, so that pods that failed together do not retry together.
func jittered(d time.Duration) time.Duration {
	return d + rand.N(d)
}
