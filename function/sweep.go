package function

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stormfold/stormfold/aggregator"
)

// sweepLoop continues with what is due: work of a pod that died or was scaled down, and deadlines. It also imports what
// Redis does not know, at the start or later, while events are already accepted.
func (p *pod) sweepLoop(ctx context.Context) {
	for {
		err := p.catchPanics(inSweep, func() error { return p.sweep(ctx) })
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

// sweep projects what is due in every shard. It waits until the context ends, and at most one sweep interval: an API
// server that hangs delays writes, but not the next sweep.
func (p *pod) sweep(ctx context.Context) error {
	start := time.Now()
	found := p.findDue(ctx)
	p.metrics.swept(len(found.writing), time.Since(start), found.err)
	if found.err == nil {
		p.readMemory(ctx)
	}
	patience := time.NewTimer(p.settings.SweepInterval)
	defer patience.Stop()
	for _, done := range found.writing {
		select {
		case <-done:
		case <-patience.C:
			return found.err
		case <-ctx.Done():
			return found.err
		}
	}
	return found.err
}

// found is what a sweep has scheduled, and its errors.
type found struct {
	mu      sync.Mutex
	writing []<-chan struct{}
	err     error
}

// findDue schedules the due groups of all shards. Shards to compare with Kubernetes come last, and do not wait for each
// other: listing incidents may take long, or fail.
func (p *pod) findDue(ctx context.Context) *found {
	f := &found{}
	var imports errgroup.Group
	imports.SetLimit(importsAtOnce)
	var later []func() error
	var kinds []string
	whole := true
	for shard := range aggregator.Shards {
		due := p.passed.due[shard].Load()
		swept, err := p.aggregator.Sweep(ctx, shard)
		if err != nil {
			p.metrics.redisFailed(err)
			f.failed(err)
			whole = false
			continue
		}
		p.metrics.shards.saw(shard, swept)
		kinds = append(kinds, swept.Kinds...)
		if swept.SetBack > 0 {
			f.failed(p.rewind(ctx, shard, swept))
		}
		if due == 0 && !p.aggregator.NeedsImport(swept.Epoch) {
			p.schedule(f, swept.Groups)
			continue
		}
		later = append(later, func() error {
			done, err := p.importShard(ctx, shard, swept.Epoch)
			f.failed(err)
			if done {
				p.passed.due[shard].CompareAndSwap(due, 0)
			}
			// Imported shards continue without the comparison: some of the due work frees memory in Redis.
			if err == nil || swept.Epoch != "" {
				p.schedule(f, swept.Groups)
			}
			return nil
		})
	}
	if whole {
		f.failed(p.kinds.saw(kinds))
	}
	for _, do := range later {
		imports.Go(do)
	}
	_ = imports.Wait() // Each has reported its error.
	return f
}

// rewind makes all groups of a shard due after Redis' clock was set back. The next sweeps find them.
func (p *pod) rewind(ctx context.Context, shard int, swept aggregator.Swept) error {
	n, err := p.aggregator.Rewind(ctx, shard, swept.Now)
	if err == nil {
		p.log.Warnw("Redis' clock was set back; all groups are checked", "shard", shard, "by", swept.SetBack, "groups", n)
	}
	return err
}

// schedule schedules the projection of groups.
func (p *pod) schedule(f *found, groups []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, group := range groups {
		f.writing = append(f.writing, p.scheduler.schedule(group, time.Now(), "", cause{}))
	}
}

func (f *found) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, err)
}
