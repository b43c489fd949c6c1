package function

import (
	"context"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// importShard reads what stands in Kubernetes of a shard into a Redis that may have forgotten it. One pod at a time does
// that; the others find it done at their next sweep.
func (p *pod) importShard(ctx context.Context, shard int, epoch string) error {
	mine, err := p.aggregator.BeginImport(ctx, shard)
	if err != nil || !mine {
		return err
	}
	namespace := p.settings.Namespace
	if p.settings.NamespaceMode == config.NamespaceAlert {
		namespace = ""
	}
	n := 0
	err = p.projector.Import(ctx, namespace, shard, func(i aggregator.Imported) error {
		n++
		return p.aggregator.Import(ctx, i, p.policies.Current().Named(i.Policy))
	})
	p.metrics.imported(n, err)
	if err != nil {
		if abortErr := p.aggregator.AbortImport(ctx, shard); abortErr != nil {
			p.log.Warnw("import cannot be given back", "shard", shard, "error", abortErr)
		}
		return err
	}
	if n > 0 {
		p.log.Infow("incidents imported from Kubernetes", "shard", shard, "incidents", n)
	}
	return p.aggregator.FinishImport(ctx, shard, epoch)
}

// namespace is where a group's new incidents are written.
func (p *pod) namespace(g aggregator.Group) string {
	if p.settings.NamespaceMode == config.NamespaceAlert {
		if r := aggregator.ResourceOf(g.Alerts[0].Labels); r.Namespace != "" {
			return r.Namespace
		}
	}
	return p.settings.Namespace
}
