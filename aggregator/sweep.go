package aggregator

import (
	"context"
	"fmt"
)

// sweepGroups is how many groups of a shard one sweep names; those that stay are still due at the next.
const sweepGroups = 256

// Sweep names the groups of a shard that want attention, the longest waiting first. The epoch tells whether the
// shard has been imported, see NeedsImport.
func (a *Aggregator) Sweep(ctx context.Context, shard int) (groups []string, epoch string, err error) {
	reply, err := a.scripts.sweep.Run(ctx, a.rdb, []string{dueKey(shard), epochKey(shard), serverKey(shard)}, a.scriptClock(), sweepGroups).Result()
	if err != nil {
		return nil, "", fmt.Errorf("sweeping shard %d: %w", shard, classify(err))
	}
	r := newReader(reply)
	epoch = r.string()
	for r.err == nil && r.at < len(r.parts) {
		groups = append(groups, r.string())
	}
	if r.err != nil {
		return nil, "", fmt.Errorf("reading the reply of sweep: %w", r.err)
	}
	return groups, epoch, nil
}
