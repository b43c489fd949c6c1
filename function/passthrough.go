package function

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// passedAlerts is the maximum number of alerts of one event that are passed through: two calls each, within one
// timeout.
const passedAlerts = 20

// passed counts what this pod has written without Redis.
type passed struct {
	// slots bounds how many groups are passed through at once.
	slots limiter
	// due counts, for each shard, what was passed through since the shard was last compared with Kubernetes.
	due [aggregator.Shards]atomic.Int64
}

// oweAll makes the pod compare all shards with Kubernetes: a pod that has just started does not know what others have
// passed through.
func (p *pod) oweAll() {
	if slices.ContainsFunc(p.policies.Current().List, func(policy config.Policy) bool { return passesThrough(&policy) }) {
		for i := range p.passed.due {
			p.passed.due[i].Store(1)
		}
	}
}

// passThrough is for alerts of a policy with onRedisFailure: passthrough. If Redis fails, each firing alert gets an
// incident of its own, and the event is still refused. To the group it is an incident that Redis does not know, so an
// import adds it. The import happens before the group writes anything else about the alert: here, before what the fold
// opened is written, and with the next sweep, since a fold that timed out may have run late.
func (p *pod) passThrough(next foldFunc) foldFunc {
	return func(ctx context.Context, groups []aggregator.Group) []folded {
		if !slices.ContainsFunc(groups, func(g aggregator.Group) bool { return passesThrough(g.Policy) }) {
			return next(ctx, groups)
		}
		reserve := min(p.settings.KubeTimeout, p.settings.RequestTimeout/2)
		folding, cancel := context.WithTimeout(ctx, p.settings.RequestTimeout-reserve)
		defer cancel()
		results := next(folding, groups)
		ctx, cancel = context.WithTimeout(ctx, p.settings.KubeTimeout)
		defer cancel()
		left := passedAlerts
		for i := range results {
			switch r := &results[i]; {
			case !passesThrough(r.group.Policy):
			case redisFails(r.Err):
				left -= p.writePastRedis(ctx, r.group, left)
			case r.Group != "" && (opens(r) || p.passed.due[aggregator.ShardOf(r.Group)].Load() > 0):
				p.importPassed(ctx, r)
			}
		}
		return results
	}
}

func passesThrough(policy *config.Policy) bool {
	return policy.OnRedisFailure == config.OnRedisFailurePassthrough && !policy.Drop
}

// redisFails reports whether a group could not be folded because Redis failed in any way.
func redisFails(err error) bool {
	return errors.Is(err, aggregator.ErrOutOfMemory) || errors.Is(err, aggregator.ErrTimeout) ||
		errors.Is(
			err,
			aggregator.ErrUnavailable,
		) || errors.Is(err, aggregator.ErrRefused) || errors.Is(err, aggregator.ErrUntrusted)
}

// opens reports whether a fold made an incident that is not written yet.
func opens(r *folded) bool {
	return slices.ContainsFunc(r.Transitions, func(t aggregator.Transition) bool {
		return t.Type == aggregator.Opened || t.Type == aggregator.Stormed
	})
}

// writePastRedis writes incidents for up to most firing alerts of a group, and returns how many it tried. The next
// delivery of the event tries the rest.
func (p *pod) writePastRedis(ctx context.Context, group aggregator.Group, most int) int {
	alerts := firing(group.Alerts)
	if len(alerts) == 0 {
		return 0
	}
	if !p.passed.slots.acquire() {
		p.metrics.passed("skipped", len(alerts))
		return 0
	}
	defer p.passed.slots.release()
	stands, err := p.standing(ctx, group.ID)
	if err != nil {
		p.metrics.passed("error", len(alerts))
		p.log.Warnw("alerts cannot be passed through", "group", group.ID, "error", err)
		return 0
	}
	tried := 0
	for _, alert := range alerts {
		// As of the report itself: a late delivery does not overwrite what the group has written to the incident
		// since.
		at := alert.NotifiedAt
		if now := p.aggregator.Now(); at.After(now) {
			at = now
		}
		lone := aggregator.Lone(group, alert, p.namespace(group), at)
		o := lone.Objects[0]
		switch {
		case stands(o):
			p.metrics.passed("standing", 1)
			continue
		case tried == most:
			p.metrics.passed("skipped", 1)
			continue
		}
		tried++
		confirmed, err := p.projector.Project(ctx, lone)
		p.passed.due[lone.Shard].Add(1) // After the call: an earlier import may have missed the incident.
		switch {
		case err != nil:
			p.metrics.passed("error", 1)
			p.log.Warnw("alert cannot be passed through", "incident", o.Name, "group", group.ID, "error", err)
		case confirmed[0].Revision != o.Revision:
			p.metrics.passed("standing", 1)
		default:
			p.metrics.passed("written", 1)
			p.log.Warnw("incident written without Redis", "incident", o.Name, "group", group.ID, "policy", group.Policy.Name)
		}
	}
	return tried
}

// firing are the alerts of which one source fires, each once. Of two updates from the same source resolved beats
// firing.
func firing(alerts []aggregator.Alert) (out []aggregator.Alert) {
	type source struct{ fingerprint, source string }
	over, seen := map[source]bool{}, map[string]bool{}
	for _, a := range alerts {
		of := source{a.Fingerprint, a.Source}
		over[of] = over[of] || a.Status == aggregator.Resolved
	}
	for _, a := range alerts {
		if !seen[a.Fingerprint] && !over[source{a.Fingerprint, a.Source}] {
			seen[a.Fingerprint] = true
			out = append(out, a)
		}
	}
	return out
}

// standing lists a group's open incidents. It returns what tells whether the alert of a lone object is in one, or
// in a storm, which counts it when Redis is back. The object itself without its status is one that is to be finished.
func (p *pod) standing(ctx context.Context, group string) (func(lone aggregator.Object) bool, error) {
	storm, of := false, map[string]aggregator.Object{}
	err := p.projector.ImportGroup(ctx, p.importNamespace(), group, func(i aggregator.Imported) error {
		if i.Object.State == aggregator.StateFiring {
			storm = storm || i.Object.Storm
			for _, m := range i.Object.Members {
				of[m.Fingerprint] = i.Object
			}
		}
		return nil
	})
	return func(lone aggregator.Object) bool {
		o, known := of[lone.Fingerprint]
		return storm || known && (o.Name != lone.Name || o.Revision > 0)
	}, err
}

// importPassed imports what may have been passed through into the group of a fold, before what it opened is written.
func (p *pod) importPassed(ctx context.Context, r *folded) {
	found := false
	err := p.projector.ImportGroup(ctx, p.importNamespace(), r.Group, func(i aggregator.Imported) error {
		if i.Object.State != aggregator.StateFiring {
			return nil
		}
		imported, err := p.aggregator.Import(ctx, i, p.policies.Current().Named(i.Policy))
		found = found || imported
		return err
	})
	if errors.Is(err, aggregator.ErrNotImported) { // Redis does not know one of them.
		found, err = p.importShard(ctx, aggregator.ShardOf(r.Group), "")
	}
	if err != nil {
		p.log.Warnw("incidents written without Redis cannot be imported now", "group", r.Group, "error", err)
	}
	if found { // What was opened may be one of those now: read the objects.
		r.Transitions = slices.DeleteFunc(
			r.Transitions,
			func(t aggregator.Transition) bool { return t.Type == aggregator.Opened },
		)
	}
}
