package function

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// importsAtOnce is the number of shards that a pod imports at once.
const importsAtOnce = 4

// firstImport imports the shards that Redis does not know, within the timeout of one call, so that the first events
// find the open incidents. The sweep imports the rest.
func (p *pod) firstImport(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, p.settings.KubeTimeout)
	done := make(chan struct{})
	p.loops.Go(func() {
		defer cancel()
		defer close(done)
		all, ctx := errgroup.WithContext(within)
		all.SetLimit(importsAtOnce)
		for shard := range aggregator.Shards {
			all.Go(func() error {
				return p.catchPanics(inImport, func() error {
					swept, err := p.aggregator.Sweep(ctx, shard)
					if err == nil && swept.Epoch == "" {
						_, err = p.importShard(ctx, shard, swept.Epoch)
					}
					return err
				})
			})
		}
		if err := all.Wait(); err != nil {
			p.log.Warnw("not all incidents could be imported at the start", "error", err)
		}
	})
	select {
	case <-done:
	case <-within.Done():
	}
}

// importShard reads the incidents of a shard from Kubernetes into a Redis that may have lost them. One pod at a time
// does this; the others get false.
func (p *pod) importShard(ctx context.Context, shard int, epoch string) (bool, error) {
	// One list call alone must not outlast the lease; between two incidents it is extended.
	lease := max(p.settings.Lease, 2*p.settings.KubeTimeout)
	mine, err := p.aggregator.BeginImport(ctx, shard, epoch, lease)
	if err != nil || mine == nil {
		return false, err
	}
	n, take := p.taker(ctx)
	extend := time.Now().Add(lease / 3)
	err = p.compare(ctx, shard, func(i aggregator.Imported) error {
		if time.Now().After(extend) {
			if err := p.aggregator.ExtendImport(ctx, mine); err != nil {
				return err
			}
			extend = time.Now().Add(lease / 3)
		}
		return take(i)
	})
	p.metrics.imported(*n, err)
	if err == nil {
		err = p.aggregator.FinishImport(ctx, mine)
	}
	if err != nil {
		p.abortImport(ctx, mine)
		if epoch != "" && errors.Is(err, aggregator.ErrNotImported) { // Kubernetes has an incident that Redis does not know.
			return p.importShard(ctx, shard, "")
		}
		return false, err
	}
	if *n > 0 {
		p.log.Infow("incidents imported from Kubernetes", "shard", shard, "incidents", *n)
	}
	return true, nil
}

// compare gives a shard's incidents to take, and has those written again that should stand open and do not, or that
// someone changed so that they cannot be read.
func (p *pod) compare(ctx context.Context, shard int, take func(aggregator.Imported) error) error {
	// Before the list: what is written meanwhile is not missing.
	standing, err := p.aggregator.Standing(ctx, shard)
	if err != nil {
		return err
	}
	read, broken := map[string]bool{}, map[string]string{}
	err = p.projector.ImportShard(ctx, p.importNamespace(), shard, func(i aggregator.Imported) error {
		read[i.Object.Name] = true
		return take(i)
	}, func(name, resourceVersion string) { broken[name] = resourceVersion })
	if err != nil {
		return err
	}
	for _, s := range standing {
		if read[s.Name] || p.importNamespace() != "" && s.Namespace != p.importNamespace() {
			continue
		}
		p.metrics.restored.Inc()
		p.log.Warnw("incident was deleted or changed by someone else, and is written again", "incident", s.Name,
			"namespace", s.Namespace, "group", s.Group, "deleted", broken[s.Name] == "")
		if err := p.aggregator.Differs(ctx, s, broken[s.Name]); err != nil {
			return err
		}
	}
	return nil
}

// abortImport releases the lease, even if the import has timed out.
func (p *pod) abortImport(ctx context.Context, mine *aggregator.ShardImport) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.settings.RedisTimeout)
	defer cancel()
	if err := p.aggregator.AbortImport(ctx, mine); err != nil {
		p.log.Warnw("the lease of an import cannot be released", "shard", mine.Shard, "error", err)
	}
}

// taker gives incidents to Redis and counts those that it did not know.
func (p *pod) taker(ctx context.Context) (*int, func(aggregator.Imported) error) {
	n := 0
	return &n, func(i aggregator.Imported) error {
		imported, err := p.aggregator.Import(ctx, i, p.policies.Current().Named(i.Policy))
		if imported {
			n++
		}
		return err
	}
}

// importNamespace is the namespace that incidents are listed in; empty means all.
func (p *pod) importNamespace() string {
	if p.settings.NamespaceMode == config.NamespaceAlert {
		return ""
	}
	return p.settings.Namespace
}

// namespace is where a group's new incidents are written.
func (p *pod) namespace(g aggregator.Group) string {
	if p.settings.NamespaceMode == config.NamespaceAlert {
		if namespace := g.Namespace(); len(validation.IsDNS1123Label(namespace)) == 0 {
			return namespace
		}
	}
	return p.settings.Namespace
}
