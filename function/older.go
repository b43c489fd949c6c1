package function

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// openKinds are the kinds of groups that have something open, as the last sweep found them.
type openKinds struct {
	seen atomic.Pointer[[]aggregator.Kind]
}

// saw takes what a sweep found in all shards.
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
	seen := o.seen.Load()
	if seen == nil {
		return nil
	}
	var out []aggregator.Kind
	for _, kind := range *seen {
		if !slices.ContainsFunc(policies.List, func(p config.Policy) bool {
			return p.Route == kind.Route && p.Name == kind.Policy && slices.Equal(p.GroupBy, kind.GroupBy)
		}) {
			out = append(out, kind)
		}
	}
	return out
}

// foldOlder folds alerts that fire in an incident of earlier policies into that, past the breaker, and leaves the groups of the
// others in Rest.
func (p *pod) foldOlder(ctx context.Context, policies config.Policies, groups []aggregator.Group) (aggregator.Older, error) {
	older := aggregator.OlderGroups(p.kinds.earlier(policies), groups)
	if len(older.Groups) == 0 {
		return older, nil
	}
	t := p.breaker.begin(older.Groups)
	defer func() { t.end(older.Groups, older.Folded) }()
	for _, group := range older.Groups {
		if refused := t.refusal(group); refused != nil {
			// Nothing is tried, which says nothing about the others.
			older.Folded = slices.Repeat([]aggregator.Folded{{Err: context.Canceled}}, len(older.Groups))
			return older, refused
		}
	}
	return older, p.aggregator.FoldOlder(ctx, &older)
}
