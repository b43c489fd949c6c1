package function

import (
	"context"
	"time"

	"github.com/stormfold/stormfold/aggregator"
)

// foldFunc folds the alerts of an event's groups into Redis. It returns a result for each group that is not dropped, in
// any order. Errors are only in the results' Err.
type foldFunc func(ctx context.Context, groups []aggregator.Group) []folded

// folded is the result of one group.
type folded struct {
	group aggregator.Group
	// earlier: the group is one of earlier policies. Its alerts may be in the result of another group, too.
	earlier bool
	aggregator.Folded
}

// failed is the same error for all groups.
func failed(groups []aggregator.Group, err error) []folded {
	results := make([]folded, len(groups))
	for i, group := range groups {
		results[i] = folded{group: group, Folded: aggregator.Folded{Err: err}}
	}
	return results
}

// firstError is the reason to deliver an event again.
func firstError(results []folded) error {
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// foldInRedis is the last stage.
func (p *pod) foldInRedis(ctx context.Context, groups []aggregator.Group) []folded {
	var out []aggregator.Folded
	err := p.catchPanics(inFold, func() (err error) {
		out, err = p.aggregator.Fold(ctx, groups, p.namespace)
		return err
	})
	results := failed(groups, err)
	for i := range out {
		results[i].Folded = out[i]
	}
	return results
}

// drop leaves out the groups of policies that drop their alerts.
func (p *pod) drop(next foldFunc) foldFunc {
	return func(ctx context.Context, groups []aggregator.Group) []folded {
		kept, dropped := aggregator.Keep(groups)
		p.metrics.dropped.Add(float64(dropped))
		if len(kept) == 0 {
			return nil
		}
		return next(ctx, kept)
	}
}

// observe counts and times the folds of an event, and makes their span.
func (p *pod) observe(next foldFunc) foldFunc {
	return func(ctx context.Context, groups []aggregator.Group) []folded {
		ctx, span := p.traces.Start(ctx, spanFold)
		start := time.Now()
		results := next(ctx, groups)
		foldedSpan(span, results)
		p.metrics.folded(results, time.Since(start))
		return results
	}
}
