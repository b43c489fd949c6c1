package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/config"
)

const (
	// importLease is for how long one pod has the import of a shard to itself.
	importLease = 30 * time.Second
	// importAgain is when a shard is looked at a second time: a create that was on its way when Redis was emptied has
	// arrived by then.
	importAgain = 90 * time.Second
)

// importDone is the epoch of a shard that has been looked at twice.
const importDone = "done"

// Imported is an incident as it stands in Kubernetes, for a Redis that may have forgotten it.
type Imported struct {
	Group, Policy string
	Labels        map[string]string
	Object        Object
}

// NeedsImport says whether a shard's incidents are to be read from Kubernetes: at first, and once more after a while.
// epoch is what Sweep returned.
func (a *Aggregator) NeedsImport(epoch string) bool {
	if epoch == importDone {
		return false
	}
	first, err := strconv.ParseInt(epoch, 10, 64)
	return err != nil || a.Now().Sub(time.UnixMilli(first)) >= importAgain
}

// BeginImport takes the lease for the import of a shard. It returns false when another pod has it.
func (a *Aggregator) BeginImport(ctx context.Context, shard int) (bool, error) {
	got, err := a.rdb.SetNX(ctx, importKey(shard), uuid.NewString(), importLease).Result()
	if err != nil {
		return false, fmt.Errorf("taking the import of shard %d: %w", shard, classify(err))
	}
	return got, nil
}

// FinishImport marks the shard as imported, so that its groups are written, and gives the lease back.
func (a *Aggregator) FinishImport(ctx context.Context, shard int, epoch string) error {
	next := importDone
	if epoch == "" {
		next = strconv.FormatInt(a.Now().UnixMilli(), 10)
	}
	if epoch != "" {
		if now, err := a.rdb.Get(ctx, epochKey(shard)).Result(); err != nil || now != epoch {
			return fmt.Errorf("shard %d was emptied or imported by another meanwhile: %w", shard, errors.Join(ErrUnavailable, err))
		}
	}
	_, err := a.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		// The mark in the due index: without it the index has been lost, and the shard is imported again.
		p.ZAdd(ctx, dueKey(shard), redis.Z{Score: math.Inf(1), Member: "-"})
		p.Set(ctx, epochKey(shard), next, 0)
		p.Del(ctx, importKey(shard))
		return nil
	})
	if err != nil {
		return fmt.Errorf("finishing the import of shard %d: %w", shard, classify(err))
	}
	return nil
}

// AbortImport gives the lease back after a failure, so that the next try need not wait for its end.
func (a *Aggregator) AbortImport(ctx context.Context, shard int) error {
	if err := a.rdb.Del(ctx, importKey(shard)).Err(); err != nil {
		return fmt.Errorf("giving back the import of shard %d: %w", shard, classify(err))
	}
	return nil
}

// Import gives one incident back to Redis, under the policy that it belongs to now. What Redis knows already stays.
func (a *Aggregator) Import(ctx context.Context, i Imported, policy *config.Policy) error {
	labels, err := json.Marshal(i.Labels)
	if err != nil {
		return err
	}
	settings, err := json.Marshal(projection{MaxListed: policy.MaxListed, Breakdown: policy.Breakdown})
	if err != nil {
		return err
	}
	facts, err := json.Marshal(i.Object.Facts)
	if err != nil {
		return err
	}
	if i.Object.CommonLabels == nil { // JSON null is no table to a script.
		i.Object.CommonLabels = map[string]string{}
	}
	shared, err := json.Marshal(i.Object.CommonLabels)
	if err != nil {
		return err
	}
	e, err := json.Marshal(importedEntry(i.Object, a.Now()))
	if err != nil {
		return err
	}
	shard := ShardOf(i.Group)
	keys := append(shardKeys(shard), groupKeys(shard, i.Group)...)
	members := i.Object.Members
	for page := 0; page == 0 || len(members) > 0; page++ {
		args := []any{a.scriptClock(), i.Group, i.Policy, labels, params(policy), settings, i.Object.Name, e, facts,
			i.Object.Revision, shared, page, flag(i.Group == overflowID(i.Policy, shard))}
		n := min(len(members), foldAlerts)
		for _, m := range members[:n] {
			word := "r"
			if m.Firing {
				word = "f"
			}
			args = append(args, m.Fingerprint, word)
		}
		members = members[n:]
		if err := a.scripts.importing.Run(ctx, a.rdb, keys, args...).Err(); err != nil {
			return fmt.Errorf("importing incident %s: %w", i.Object.Name, classify(err))
		}
	}
	return nil
}

// FinishGroup says that all incidents of a group that Redis had lost have been imported, so that it is written again.
func (a *Aggregator) FinishGroup(ctx context.Context, group string) error {
	shard := ShardOf(group)
	keys := append(shardKeys(shard), groupKeys(shard, group)...)
	err := a.scripts.importing.Run(ctx, a.rdb, keys, a.scriptClock(), group, "", "", "", "", "", "", "", "", "", "end", "0").Err()
	if err != nil {
		return fmt.Errorf("finishing the import of group %s: %w", group, classify(err))
	}
	return nil
}

// importedEntry is an object as lib.lua keeps it.
func importedEntry(o Object, now time.Time) map[string]any {
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return now.UnixMilli()
		}
		return t.UnixMilli()
	}
	e := map[string]any{
		"t": "A", "s": o.State, "at": ms(o.OpenedAt), "rev": o.Revision, "frev": o.Revision, "rv": o.ResourceVersion,
		"ns": o.Namespace, "h": now.UnixMilli(), "lc": ms(o.ChangedAt), "ro": o.Reopened,
	}
	if o.Storm {
		e["t"], e["st"] = "S", ms(o.StormAt)
	} else if len(o.Members) == 1 {
		e["fp"] = o.Members[0].Fingerprint
	}
	if o.Truncated {
		e["tr"], e["x"] = 1, o.Beyond
	}
	if o.State != Open {
		e["e"], e["why"], e["by"] = ms(o.EndedAt), o.Reason, o.AbsorbedBy
		e["n"], e["f"] = o.Total, o.Firing
	}
	return e
}
