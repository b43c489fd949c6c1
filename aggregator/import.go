package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/config"
)

const (
	// importAgain is when a shard is looked at a second time: a create that was on its way when Redis was emptied has
	// arrived by then.
	importAgain = 90 * time.Second
	// importDone begins the epoch of a shard that has been looked at twice; the time (ms) of the last look follows.
	importDone = "done "
	// importAnew is the epoch of a shard that was imported under another Redis server. After a failover, or a restart that cost
	// the last words, there may be objects of which this one knows nothing: the shard is looked at twice more.
	importAnew = "again"
)

// Imported is an incident as it stands in Kubernetes, for a Redis that may have forgotten it.
type Imported struct {
	Group, Policy string
	Labels        map[string]string
	Object        Object
}

// NeedsImport says whether a shard's incidents are to be read from Kubernetes: at first, when Redis is another server than it
// was, when objects were found missing, each time once more after a while, and every Options.Resync. epoch is what Sweep
// returned.
func (a *Aggregator) NeedsImport(epoch string) bool {
	at, done := strings.CutPrefix(epoch, importDone)
	wait := importAgain
	if done || a.resync > 0 && a.resync < wait {
		wait = a.resync
	}
	if wait == 0 {
		return false
	}
	last, err := strconv.ParseInt(at, 10, 64)
	return err != nil || a.Now().Sub(time.UnixMilli(last)) >= wait
}

// LookAgain makes some pod's next sweep compare all shards with Kubernetes: something that stood there is gone.
func (a *Aggregator) LookAgain(ctx context.Context) error {
	_, err := a.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for shard := range Shards {
			pipe.SetXX(ctx, a.keys.epoch(shard), importAnew, 0)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) { // Nil: a shard that has not been imported at all.
		return fmt.Errorf("marking the shards to be looked at: %w", classify(err))
	}
	return nil
}

// ShardImport is the right to import one shard, while its lease lasts.
type ShardImport struct {
	Shard int
	// Epoch of the shard as Sweep returned it: empty when it has not been imported.
	Epoch string
	token string
	lease time.Duration
}

// BeginImport takes the lease for the import of a shard. It returns nil when another pod has it, or when the shard's epoch
// is not that one any more.
func (a *Aggregator) BeginImport(ctx context.Context, shard int, epoch string, lease time.Duration) (*ShardImport, error) {
	i := &ShardImport{Shard: shard, Epoch: epoch, token: uuid.NewString(), lease: lease}
	got, err := a.importLease(ctx, i, "begin")
	if err != nil {
		return nil, fmt.Errorf("taking the import of shard %d: %w", shard, err)
	}
	if !got {
		return nil, nil
	}
	return i, nil
}

// ExtendImport keeps the lease. It returns an error when it is gone: then Redis was emptied once more, or all took too long.
func (a *Aggregator) ExtendImport(ctx context.Context, i *ShardImport) error {
	return a.stillMine(ctx, i, "extend")
}

// FinishImport marks the shard as imported, so that its groups are written, and gives the lease back. It returns an error when
// the lease was gone: what was imported may be gone with it.
func (a *Aggregator) FinishImport(ctx context.Context, i *ShardImport) error {
	if err := a.markFormat(ctx); err != nil { // Redis may have been emptied since Load.
		return fmt.Errorf("marking the format of the data in Redis: %w", classify(err))
	}
	return a.stillMine(ctx, i, "finish")
}

// AbortImport gives the lease back after a failure, so that the next try need not wait for its end.
func (a *Aggregator) AbortImport(ctx context.Context, i *ShardImport) error {
	if _, err := a.importLease(ctx, i, "abort"); err != nil {
		return fmt.Errorf("giving back the import of shard %d: %w", i.Shard, err)
	}
	return nil
}

func (a *Aggregator) stillMine(ctx context.Context, i *ShardImport, op string) error {
	mine, err := a.importLease(ctx, i, op)
	if err != nil {
		return fmt.Errorf("import of shard %d, %s: %w", i.Shard, op, err)
	}
	if !mine {
		return fmt.Errorf("import of shard %d, %s: the lease is gone: %w", i.Shard, op, ErrUnavailable)
	}
	return nil
}

// importLease runs lease.lua, see its header.
func (a *Aggregator) importLease(ctx context.Context, i *ShardImport, op string) (bool, error) {
	next := strconv.FormatInt(a.Now().UnixMilli(), 10)
	if i.Epoch != "" && i.Epoch != importAnew {
		next = importDone + next
	}
	keys := []string{a.keys.due(i.Shard), a.keys.epoch(i.Shard), a.keys.lease(i.Shard), a.keys.server(i.Shard)}
	n, err := a.scripts.lease.Run(ctx, a.rdb, keys, op, i.token, i.lease.Milliseconds(), i.Epoch, next).Int()
	return n == 1, classify(err)
}

// importedKind is the kind of an incident's group: that of the policy, unless the incident's labels are not all of its. Then
// another policy may have made it, or its alerts lack a label, in which case both kinds lead to the same group.
func importedKind(i Imported, policy *config.Policy) Kind {
	names := slices.Sorted(maps.Keys(i.Labels))
	if i.Policy == policy.Name && slices.Equal(names, slices.Sorted(slices.Values(policy.GroupBy))) {
		return KindOf(policy)
	}
	return Kind{Policy: i.Policy, GroupBy: names}
}

// Import gives one incident back to Redis, under the policy that it belongs to now. What Redis knows already stays; then it
// returns false.
func (a *Aggregator) Import(ctx context.Context, i Imported, policy *config.Policy) (bool, error) {
	// With a threshold of 1 an incident is its group's, also while it has one alert.
	i.Object.Storm = i.Object.Storm || policy.Threshold == 1
	labels, err := json.Marshal(i.Labels)
	if err != nil {
		return false, err
	}
	text, err := textOf(policy, importedKind(i, policy))
	if err != nil {
		return false, err
	}
	facts, err := json.Marshal(i.Object.Facts)
	if err != nil {
		return false, err
	}
	if i.Object.CommonLabels == nil { // JSON null is no table to a script.
		i.Object.CommonLabels = map[string]string{}
	}
	shared, err := json.Marshal(i.Object.CommonLabels)
	if err != nil {
		return false, err
	}
	e, err := json.Marshal(importedEntry(i.Object, a.Now()))
	if err != nil {
		return false, err
	}
	shard := ShardOf(i.Group)
	keys := a.keys.script(i.Group)
	starts, rest := int64(0), ""
	if known := i.Object.Facts; !i.Object.Storm && i.Object.Total > 0 {
		starts, rest = known.StartsAt*1000, recordRest(Alert{Labels: known.Labels}, policy.Breakdown)
	}
	members := i.Object.Members
	for page := 0; page == 0 || len(members) > 0; page++ {
		args := []any{a.scriptClock(), i.Group, i.Policy, labels, text.params, text.settings, i.Object.Name, e, facts,
			i.Object.Revision, shared, page, flag(i.Group == overflowID(i.Policy, shard)),
			i.Object.ResourceVersion, starts, rest}
		n := min(len(members), foldAlerts)
		for _, m := range members[:n] {
			word := "r"
			if m.Firing {
				word = "f"
			}
			args = append(args, m.Fingerprint, word)
		}
		members = members[n:]
		reply, err := a.scripts.importing.Run(ctx, a.rdb, keys, args...).Result()
		if err != nil {
			return false, fmt.Errorf("importing incident %s: %w", i.Object.Name, classify(err))
		}
		r := newReader(reply)
		imported := r.int()
		if r.err != nil {
			return false, fmt.Errorf("reading the reply of import: %w", r.err)
		}
		if page == 0 && imported == 0 {
			return false, nil // Redis knows it better than Kubernetes.
		}
	}
	return true, nil
}

// FinishGroup says that all incidents of a group that Redis had lost have been imported, so that it is written again.
func (a *Aggregator) FinishGroup(ctx context.Context, group string) error {
	keys := a.keys.script(group)
	err := a.scripts.importing.Run(ctx, a.rdb, keys, a.scriptClock(), group, "", "", "", "", "", "", "", "", "", "end", "0", "", "", "").Err()
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
		e["t"] = "S"
	}
	if !o.StormAt.IsZero() {
		e["st"] = ms(o.StormAt)
	}
	if o.Fingerprint != "" {
		e["fp"] = o.Fingerprint
	} else if !o.Storm && len(o.Members) == 1 {
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
