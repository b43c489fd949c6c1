package function

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/stormfold/stormfold/aggregator"
)

// sweepLoop carries on what is due, whoever left it: a pod that died, a pod that was scaled away, a deadline that came.
// It also imports what Redis does not know, at the start or later, while events are taken already.
func (p *pod) sweepLoop(ctx context.Context) {
	for {
		err := p.guard(inSweep, func() error { return p.sweep(ctx) })
		p.sawRedis(err)
		if err != nil && ctx.Err() == nil {
			p.log.Warnw("sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.settings.SweepInterval/2 + rand.N(p.settings.SweepInterval)):
		}
	}
}

// sweep projects what is due in every shard and waits for it, as long as the context allows.
func (p *pod) sweep(ctx context.Context) error {
	start := time.Now()
	var errs []error
	var writing []<-chan struct{}
	for shard := range aggregator.Shards {
		swept, err := p.aggregator.Sweep(ctx, shard)
		if err != nil {
			p.metrics.redisFailed(err)
			errs = append(errs, err)
			continue
		}
		p.metrics.shards.saw(shard, swept)
		if p.aggregator.NeedsImport(swept.Epoch) {
			if _, err := p.importShard(ctx, shard, swept.Epoch); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		for _, group := range swept.Groups {
			writing = append(writing, p.agenda.add(group, time.Now(), "", cause{}))
		}
	}
	p.metrics.swept(len(writing), time.Since(start), errors.Join(errs...))
	if len(errs) == 0 {
		p.readMemory(ctx)
	}
	for _, done := range writing {
		select {
		case <-done:
		case <-ctx.Done():
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}
