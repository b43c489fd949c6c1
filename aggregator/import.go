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
	// arrived before that.
	importAgain = 90 * time.Second
	// importDone begins the epoch of a shard that has been looked at twice; the time (ms) of the last look follows.
	importDone = "done "
	// importAnew is the epoch of a shard that was imported under another Redis server. After a failover, or a restart
	// that lost the last reports, there may be objects of which this one knows nothing: the shard is looked at twice
	// more.
	importAnew = "again"
)

// Imported is an incident as it is in Kubernetes, for a Redis that may have forgotten it.
type Imported struct {
	Group, Policy string
	Labels        map[string]string
	Object        Object
}

// NeedsImport says whether a shard's incidents are to be read from Kubernetes: at first, when Redis is another server
// than it was, when objects were found missing, each time once more after a while, and every Options.Resync. epoch is
// what Sweep returned.
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

// LookAgain makes some pod's next sweep compare all shards with Kubernetes: something that was there is gone.
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

// BeginImport takes the lease for the import of a shard. It returns nil when another pod has it, or when the shard's
// epoch is not that one any more.
func (a *Aggregator) BeginImport(
	ctx context.Context,
	shard int,
	epoch string,
	lease time.Duration,
) (*ShardImport, error) {
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

// ExtendImport keeps the lease. It returns an error when it is gone: then Redis was emptied once more, or all took too
// long.
func (a *Aggregator) ExtendImport(ctx context.Context, i *ShardImport) error {
	return a.stillMine(ctx, i, "extend")
}

// FinishImport marks the shard as imported, so that its groups are written, and gives the lease back. It returns an
// error when the lease was gone: what was imported may be gone with it.
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

// importedKind is the kind of an incident's group: that of the policy, unless the incident's labels are not all of its.
// Then another policy may have made it, or its alerts lack a label, in which case both kinds lead to the same group.
func importedKind(i Imported, policy *config.Policy) Kind {
	names := slices.Sorted(maps.Keys(i.Labels))
	if i.Policy == policy.Name && slices.Equal(names, slices.Sorted(slices.Values(policy.GroupBy))) {
		return KindOf(policy)
	}
	return Kind{Policy: i.Policy, GroupBy: names}
}

// Import gives one incident back to Redis, under the policy that it belongs to now. It returns whether Redis did not
// know it. ErrNotImported says that the group's shard has to be imported for that: it is marked so, and nothing was
// changed.
func (a *Aggregator) Import(ctx context.Context, i Imported, policy *config.Policy) (bool, error) {
	if IsOutage(i.Group) {
		return a.importOutage(ctx, i)
	}
	// With a threshold of 1 an incident is its group's, also while it has one alert.
	i.Object.Storm = i.Object.Storm || policy.Threshold == 1
	text, err := textOf(policy, importedKind(i, policy))
	if err != nil {
		return false, err
	}
	i.Object.Facts.Traits = foundTraits(i.Object.Labels)
	f, err := foundIn(i.Object, policy, a.Now())
	if err != nil {
		return false, err
	}
	unknown := false
	for page, members := 0, i.Object.Members; page == 0 || len(members) > 0; page++ {
		n := min(len(members), foldAlerts)
		p := importPage{first: page == 0, last: n == len(members), members: members[:n]}
		isNew, more, err := a.importPage(ctx, i, text, f, p)
		if err != nil {
			return false, fmt.Errorf("importing incident %s: %w", i.Object.Name, err)
		}
		unknown = unknown || isNew
		if !more {
			break
		}
		members = members[n:]
	}
	return unknown, nil
}

// importPage is a part of the alerts of an incident; the incident itself comes with the first.
type importPage struct {
	first, last bool
	members     []Member
}

// importTries is how often a page is merged again when the group has changed between reading and writing: by a pod that
// settles.
const importTries = 10

// importPage merges one page. It returns whether Redis did not know the incident, and whether there is more to do for
// it.
func (a *Aggregator) importPage(
	ctx context.Context,
	i Imported,
	text policyText,
	f found,
	p importPage,
) (isNew, more bool, err error) {
	identities := make([]string, 0, len(p.members)+1)
	if f.entry.Fingerprint != "" {
		identities = append(identities, f.entry.Fingerprint)
	}
	for _, member := range p.members {
		identities = append(identities, member.Fingerprint)
	}
	for range importTries {
		v, err := a.read(ctx, i.Group, f.name, identities)
		if err != nil {
			return false, false, err
		}
		m, err := newMerging(v, text)
		if err != nil {
			return false, false, err
		}
		e := m.entries[f.name]
		isNew = e == nil
		if p.first {
			by, told, as := f.entry.Parent, f.entry.Up, i
			if e != nil {
				by, told, as.Object = e.Parent, e.Up, e.known(i.Object)
			}
			if f.entry.Up, err = a.reportFound(ctx, as, by, told); err != nil {
				return false, false, err
			}
		}
		switch {
		case e == nil && !p.first:
			return false, false, nil // It was dropped.
		case e == nil:
			m.incident(f)
			m.entries[f.name].Loading = !p.last
		case p.first:
			m.known(f)
		}
		if loading := e == nil || e.Loading; loading {
			m.members(f, p.members, p.last)
			if e := m.entries[f.name]; e != nil && p.last {
				e.Loading = false
			}
			m.group.imported = v.now.UnixMilli()
		}
		change, err := a.changeOf(i, v, m, text, f, isNew)
		if err != nil {
			return false, false, err
		}
		done, err := a.apply(ctx, change)
		if done || err != nil {
			return isNew, isNew || e.Loading, err
		}
	}
	return false, false, fmt.Errorf("the group changes all the time: %w", ErrUnavailable)
}

// foundIn is an incident as Kubernetes shows it.
func foundIn(o Object, policy *config.Policy, now time.Time) (found, error) {
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return now.UnixMilli()
		}
		return t.UnixMilli()
	}
	common, err := json.Marshal(o.CommonLabels)
	if err != nil {
		return found{}, err
	}
	if o.CommonLabels == nil {
		common = []byte("{}")
	}
	e := entry{
		Type: typeAlert, State: o.State, Fingerprint: o.Fingerprint, Namespace: o.Namespace, OpenedAt: ms(o.OpenedAt),
		ChangedAt: ms(
			o.ChangedAt,
		), Reopened: o.Reopened, LastSeen: now.UnixMilli(), Revision: o.Revision, Confirmed: o.Revision,
		ResourceVersion: o.ResourceVersion, Total: 1, Firing: 1, Parent: foundParent(o),
	}
	if o.Storm {
		e.Type = typeStorm
	} else if e.Fingerprint == "" && len(o.Members) == 1 {
		e.Fingerprint = o.Members[0].Fingerprint
	}
	if !o.StormAt.IsZero() {
		e.StormAt = ms(o.StormAt)
	}
	if o.Truncated {
		e.Truncated, e.Beyond = true, o.Beyond
	}
	if o.State != StateFiring {
		e.EndedAt, e.Reason, e.AbsorbedBy = ms(o.EndedAt), o.Reason, o.AbsorbedBy
		e.Total, e.Firing, e.Common = o.Total, o.Firing, string(common)
	}
	f := found{name: o.Name, entry: e, common: o.CommonLabels}
	if !o.Storm && o.Total > 0 {
		alert := Alert{Labels: o.Facts.Labels, traits: o.Facts.Traits}
		f.alert = record{starts: o.Facts.StartsAt * 1000, rest: recordRest(alert, policy.Breakdown)}
	}
	return f, nil
}
