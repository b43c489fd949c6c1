package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
)

// namespace is where the incidents of a replay are.
const namespace = "stormfold"

// lease is how long the only pod of a replay may project a group. Its clock does not move while it does.
const lease = 20 * time.Second

// longestPause is how long a group may wait to be written: no hold and no flush interval is longer.
const longestPause = 10 * time.Minute

// stuck is how often in a row a shard may be swept at one moment of the clock, 256 groups of 20 objects and more each
// time, before the replay gives up: a group that is always due would keep it there forever.
const stuck = 10000

// pod does what a pod of the function does, one step after another, by the clock of the replay.
type pod struct {
	*tally
	aggregator *aggregator.Aggregator
	projector  *projector.Projector
	ledger     *ledger
	policies   config.Policies
	now        time.Time
	// due is when each shard is due next, zero for never.
	due [aggregator.Shards]time.Time
}

// newPod makes a pod on an empty Redis and an empty Kubernetes, at that time.
func newPod(ctx context.Context, o Options, embedded bool, now time.Time) (*pod, error) {
	p := &pod{tally: newTally(), policies: o.Policies, now: now}
	clock := func() time.Time { return p.now }
	p.aggregator = aggregator.New(aggregator.Options{
		Redis: o.Redis, Lease: lease, Clock: clock, Embedded: embedded, Namespace: namespace,
		Outages: func() []config.Outage { return o.Policies.Outages },
		Woken: func(group string, due time.Time) {
			if shard := aggregator.ShardOf(group); p.due[shard].IsZero() || due.Before(p.due[shard]) {
				p.due[shard] = due
			}
		},
	})
	p.ledger = newLedger(clock)
	if o.Changed != nil {
		p.ledger.Changed = func(incident v1alpha1.Incident, deleted bool) { o.Changed(p.now, incident, deleted) }
	}
	p.projector = projector.New(projector.Options{Incidents: p.ledger, Timeout: time.Minute, Fallback: namespace})
	if err := p.aggregator.Load(ctx); err != nil {
		return nil, err
	}
	// There is nothing in Kubernetes that Redis does not know.
	for shard := range aggregator.Shards {
		i, err := p.aggregator.BeginImport(ctx, shard, "", lease)
		if err == nil && i == nil {
			err = fmt.Errorf("shard %d is in use: a replay needs a Redis of its own", shard)
		}
		if err == nil {
			err = p.aggregator.FinishImport(ctx, i)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// take folds one notification, and writes the groups for which the fold granted the lease.
func (p *pod) take(ctx context.Context, n Notification) error {
	groups, _ := aggregator.Keep(aggregator.Split(p.policies, n.Batch))
	folded, err := p.aggregator.Fold(ctx, groups, func(aggregator.Group) string { return namespace })
	if err != nil {
		return err
	}
	p.folded(groups, folded)
	for _, f := range folded {
		if f.Token != "" {
			if _, _, err := p.project(ctx, f.Group, f.Token); err != nil {
				return err
			}
		}
		shard := aggregator.ShardOf(f.Group)
		if p.due[shard], err = p.aggregator.NextDue(ctx, shard, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// advance moves the clock to each time at which work is due, and does it, until the next due time is not to be waited
// for.
func (p *pod) advance(ctx context.Context, enough func(at time.Time) bool) error {
	idle := 0
	for {
		shard, at := p.next()
		if at.IsZero() || enough(at) {
			return nil
		}
		p.moveTo(at)
		if err := p.sweep(ctx, shard); err != nil {
			return err
		}
		if idle++; p.due[shard].After(p.now) {
			idle = 0
		}
		if idle > stuck {
			return fmt.Errorf("a group of shard %d stays due at %s with nothing to do", shard, p.now.Format(time.RFC3339))
		}
	}
}

// over reports whether everything has ended: nothing fires, and nothing has to be written before a retention is over.
func (p *pod) over(at time.Time) bool { return p.ledger.open == 0 && at.Sub(p.now) > longestPause }

// moveTo sets the clock, which never goes back.
func (p *pod) moveTo(t time.Time) {
	if t.After(p.now) {
		p.ledger.peak() // The state until now.
		p.now = t
	}
}

// next is the shard that is due first, and when; zero for none.
func (p *pod) next() (shard int, at time.Time) {
	for i, due := range p.due {
		if !due.IsZero() && (at.IsZero() || due.Before(at)) {
			shard, at = i, due
		}
	}
	return shard, at
}

// sweep writes the groups of a shard that are due, and determines when to sweep it next: at the same time again while
// there is something to write, otherwise when the next group is due or may be written.
func (p *pod) sweep(ctx context.Context, shard int) error {
	swept, err := p.aggregator.Sweep(ctx, shard)
	if err != nil {
		return err
	}
	after, until := p.now, time.Time{}
	for _, group := range swept.Groups {
		wrote, busy, err := p.project(ctx, group, "")
		if err != nil {
			return err
		}
		if wrote {
			after = time.Time{}
		}
		if !busy.IsZero() && (until.IsZero() || busy.Before(until)) {
			until = busy
		}
	}
	due, err := p.aggregator.NextDue(ctx, shard, after)
	if due.IsZero() || !until.IsZero() && until.Before(due) {
		due = until
	}
	p.due[shard] = due
	return err
}

// project writes one group until nothing is due: snapshot, Kubernetes, settle. It reports whether it wrote anything,
// and until when the group must not be written, if so.
func (p *pod) project(ctx context.Context, group, token string) (wrote bool, until time.Time, err error) {
	for {
		s, err := p.aggregator.Snapshot(ctx, group, token, false)
		token = ""
		var busy *aggregator.Busy
		switch {
		case errors.As(err, &busy):
			return wrote, busy.Until, nil
		case err != nil:
			return wrote, until, err
		case s == nil || len(s.Objects) == 0:
			return wrote, until, nil
		}
		confirmed, err := p.projector.Project(ctx, s)
		if err != nil {
			return wrote, until, err
		}
		wrote = true
		due, err := p.aggregator.Settle(ctx, s, confirmed, 0)
		if err != nil || due.After(p.now) || due.IsZero() {
			return wrote, until, err
		}
	}
}
