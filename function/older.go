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

// foldOlder folds alerts that fire in an incident of earlier policies into that, and returns the groups of the others.
func (p *pod) foldOlder(ctx context.Context, policies config.Policies, groups []aggregator.Group) (aggregator.Older, error) {
	kinds := p.kinds.earlier(policies)
	if len(kinds) == 0 {
		return aggregator.Older{Rest: groups}, nil
	}
	return p.aggregator.FoldOlder(ctx, kinds, groups)
}
