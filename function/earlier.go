package function

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// replaced is how long the policies before a reload count as earlier ones, whatever a sweep finds: other pods load
// theirs within a minute or two, and use the old ones until then.
const replaced = 10 * time.Minute

// openKinds are the kinds of groups that have something open, as of the last sweep, and those that were recently in
// force in this process.
type openKinds struct {
	seen atomic.Pointer[[]aggregator.Kind]

	mu      sync.Mutex
	inForce []config.Policy
	former  []aggregator.Kind
	until   time.Time
}

// saw stores what a sweep found in all shards.
func (o *openKinds) saw(texts []string) error {
	slices.Sort(texts)
	var kinds []aggregator.Kind
	for _, text := range slices.Compact(texts) {
		kind, err := aggregator.ParseKind(text)
		if err != nil {
			return err
		}
		kinds = append(kinds, kind)
	}
	o.seen.Store(&kinds)
	return nil
}

// earlier are those that are not of the policies in force.
func (o *openKinds) earlier(policies config.Policies) []aggregator.Kind {
	all := o.loaded(policies.List)
	if seen := o.seen.Load(); seen != nil {
		all = append(slices.Clone(*seen), all...)
	}
	var out []aggregator.Kind
	for n, kind := range all {
		same := func(other aggregator.Kind) bool { return other.String() == kind.String() }
		inForce := slices.ContainsFunc(policies.List, func(p config.Policy) bool {
			return p.Route == kind.Route && p.Name == kind.Policy && slices.Equal(p.GroupBy, kind.GroupBy)
		})
		if !inForce && !slices.ContainsFunc(all[:n], same) {
			out = append(out, kind)
		}
	}
	return out
}

// loaded stores the policies in force, and returns the kinds of those that they replaced recently.
func (o *openKinds) loaded(policies []config.Policy) []aggregator.Kind {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(policies) == 0:
	case len(o.inForce) > 0 && &o.inForce[0] != &policies[0]:
		for i := range o.inForce {
			o.former = append(o.former, aggregator.KindOf(&o.inForce[i]))
		}
		o.until = time.Now().Add(replaced)
		fallthrough
	default:
		o.inForce = policies
	}
	if time.Now().After(o.until) {
		o.former = nil
	}
	return o.former
}

// foldEarlier folds alerts that fire in an incident of earlier policies into it. The others go to the next stage.
func (p *pod) foldEarlier(next foldFunc) foldFunc {
	return func(ctx context.Context, groups []aggregator.Group) []folded {
		alerts := aggregator.OlderGroups(p.kinds.earlier(p.policies.Current()), groups)
		if len(alerts.Groups) == 0 {
			return next(ctx, groups)
		}
		earlier, err := p.tryEarlier(ctx, &alerts)
		if err != nil && !errors.Is(err, aggregator.ErrReplicas) {
			return append(failed(alerts.Rest, err), earlier...) // They may be in an incident of those.
		}
		return append(next(ctx, alerts.Rest), earlier...)
	}
}

// tryEarlier does that behind the breaker, for all of the groups or for none.
func (p *pod) tryEarlier(ctx context.Context, alerts *aggregator.Older) (results []folded, err error) {
	t := p.breaker.begin(alerts.Groups)
	if _, refused := t.sort(alerts.Groups); len(refused) > 0 {
		t.end(failed(alerts.Groups, context.Canceled)) // Nothing was tried, so it does not count as a failure.
		return nil, refused[0].Err
	}
	defer func() { t.end(results) }()
	err = p.aggregator.FoldOlder(ctx, alerts)
	for i, f := range alerts.Folded {
		results = append(results, folded{group: alerts.Groups[i], earlier: true, Folded: f})
	}
	return results, err
}
