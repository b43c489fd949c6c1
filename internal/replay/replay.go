// Package replay runs recorded notifications through the fold, to show the incidents that they make under given
// policies.
//
//	Read      a recording to notifications, each with its time
//	Run       fold, snapshot, project, settle and sweep, as the function does them, on a Redis and a clock of its own
//	Report    the result: incidents, storms, writes
//
// It makes no decisions: the aggregator's scripts do, and the projector renders and writes the objects, to a Kubernetes
// in memory that counts writes. Only time differs from the function. The clock jumps from one due time to the next, a
// write takes no time, and a deadline takes effect when it comes; in the function that is up to one and a half sweep
// intervals later.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/lookup"
)

// Options configure a replay.
type Options struct {
	// Policies are those to try; none are the built-in policy.
	Policies config.Policies
	// Inventory, when set, is where alerts without look-ups are looked up.
	Inventory *lookup.Inventory
	// GroupBy are labels by which Alertmanager would have grouped. None: notifications in the recording count as they
	// were sent, and the other alerts are grouped as the route that kube-prometheus ships does.
	GroupBy []string
	// Until is how long the clock continues after the last notification. 0: until everything has ended. Incidents that
	// ended are deleted a retention later, which only a longer Until shows.
	Until time.Duration
	// Redis must be empty and not used by others. Nil: one in the process, for this replay alone.
	Redis redis.UniversalClient
	// Progress, when set, is called after each notification that was folded.
	Progress func()
	// Changed, when set, is called for each incident that was written or deleted, in order and with the time of
	// the replay. The incident is the callee's.
	Changed func(at time.Time, incident v1alpha1.Incident, deleted bool)
}

// forever is longer than an incident can stay open without notifications: quiet and maxDuration of a policy are at most
// 30 days.
const forever = 40 * 24 * time.Hour

// Run replays notifications in the order of their times. It fails only if Redis does: every notification that Read
// accepted is valid.
func Run(ctx context.Context, notifications []Notification, o Options) (*Report, error) {
	if len(notifications) == 0 {
		return nil, errors.New("there is nothing to replay")
	}
	if len(o.Policies.List) == 0 {
		o.Policies = config.Default()
	}
	embedded := o.Redis == nil
	if embedded {
		server, err := miniredis.Run()
		if err != nil {
			return nil, fmt.Errorf("starting the embedded Redis: %w", err)
		}
		defer server.Close()
		client := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
		defer func() { _ = client.Close() }()
		o.Redis = client
	}
	ordered := slices.Clone(notifications)
	slices.SortStableFunc(ordered, func(a, b Notification) int { return a.At.Compare(b.At) })

	p, err := newPod(ctx, o, embedded, ordered[0].At)
	if err != nil {
		return nil, err
	}
	for _, n := range ordered {
		if err := p.advance(ctx, n.At.Before); err != nil {
			return nil, err
		}
		p.moveTo(n.At)
		if o.Inventory != nil {
			n.Batch = lookUp(o, n.Batch)
		}
		if err := p.take(ctx, n); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress()
		}
	}
	last := ordered[len(ordered)-1].At
	enough := last.Add(cmp.Or(o.Until, forever)).Before
	if o.Until == 0 {
		late := enough
		enough = func(at time.Time) bool { return late(at) || p.over(at) }
	}
	if err := p.advance(ctx, enough); err != nil {
		return nil, err
	}
	if o.Until > 0 {
		p.moveTo(last.Add(o.Until))
	}
	report := p.report(ordered)
	report.Alertmanager = notified(ordered, o.GroupBy)
	return report, nil
}

// lookUp adds to alerts without look-ups what the inventory tells.
func lookUp(o Options, batch aggregator.Batch) aggregator.Batch {
	batch.Alerts = slices.Clone(batch.Alerts)
	for i := range batch.Alerts {
		if a := &batch.Alerts[i]; a.Lookups == nil {
			r := o.Policies.Subjects.Read(a.Labels)
			a.Lookups = o.Inventory.Find(&r)
		}
	}
	return batch
}
