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

// sweepLoop continues with what is due, whoever left it: a pod that died, a pod that was scaled away, a deadline that
// came. It also imports what Redis does not know, at the start or later, while events are taken already.
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

// sweep projects what is due in every shard. It waits for that as long as the context allows, and no longer than one
// sweep interval: an API server that hangs holds up the writing, and not the next look at what is due.
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

// found is what a sweep has scheduled, and what went wrong on the way.
type found struct {
	mu      sync.Mutex
	writing []<-chan struct{}
	err     error
}

// findDue schedules the due groups of all shards. A shard that is to be compared with Kubernetes comes after those that
// are not, and waits for no other: its list may take long, or fail.
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
			// What was imported once goes on without the comparison: among the due there is what frees memory in Redis.
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
	_ = imports.Wait() // Each has told its error already.
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

// schedule has groups projected.
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
