package function

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// importShard reads what stands in Kubernetes of a shard into a Redis that may have forgotten it. One pod at a time does
// that; the others get false and find it done a little later.
func (p *pod) importShard(ctx context.Context, shard int, epoch string) (bool, error) {
	mine, err := p.aggregator.BeginImport(ctx, shard)
	if err != nil || !mine {
		return false, err
	}
	n, take := p.taker(ctx)
	err = p.projector.ImportShard(ctx, p.importNamespace(), shard, take)
	p.metrics.imported(*n, err)
	if err != nil {
		if abortErr := p.aggregator.AbortImport(ctx, shard); abortErr != nil {
			p.log.Warnw("import cannot be given back", "shard", shard, "error", abortErr)
		}
		return false, err
	}
	if *n > 0 {
		p.log.Infow("incidents imported from Kubernetes", "shard", shard, "incidents", *n)
	}
	if err := p.aggregator.FinishImport(ctx, shard, epoch); err != nil {
		return false, err
	}
	return true, nil
}

// importGroup does the same for a group of which Redis has lost a part. It does no harm when two pods do it at once.
func (p *pod) importGroup(ctx context.Context, group string) error {
	n, take := p.taker(ctx)
	err := p.projector.ImportGroup(ctx, p.importNamespace(), group, take)
	p.metrics.imported(*n, err)
	if err != nil {
		return err
	}
	p.log.Infow("group imported from Kubernetes", "group", group, "incidents", *n)
	return p.aggregator.FinishGroup(ctx, group)
}

// taker gives imported incidents to Redis and counts them.
func (p *pod) taker(ctx context.Context) (*int, func(aggregator.Imported) error) {
	n := 0
	return &n, func(i aggregator.Imported) error {
		n++
		return p.aggregator.Import(ctx, i, p.policies.Current().Named(i.Policy))
	}
}

// importNamespace is where incidents are looked for; empty is everywhere.
func (p *pod) importNamespace() string {
	if p.settings.NamespaceMode == config.NamespaceAlert {
		return ""
	}
	return p.settings.Namespace
}

// namespace is where a group's new incidents are written.
func (p *pod) namespace(g aggregator.Group) string {
	if p.settings.NamespaceMode == config.NamespaceAlert {
		if r := aggregator.ResourceOf(g.Alerts[0].Labels); len(validation.IsDNS1123Label(r.Namespace)) == 0 {
			return r.Namespace
		}
	}
	return p.settings.Namespace
}
