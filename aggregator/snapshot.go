package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/stormfold/stormfold/config"
)

// Snapshot is what has to be written of a group, under its lease. Whoever took it has to Settle it.
type Snapshot struct {
	Group  string
	Shard  int
	Policy string
	Labels map[string]string
	// Token is the lease.
	Token string
	// TookOver: the lease was another's, who never gave it back.
	TookOver bool
	// Now is Redis' clock.
	Now time.Time
	// Objects are at most 20; a group with more stays due.
	Objects []Object
	// Transitions are what time alone caused: ends, absorptions.
	Transitions []Transition
	// MaxListed, Breakdown and Severities are the policy's, as of the last fold.
	MaxListed  int
	Breakdown  []string
	Severities config.Severities

	outage *takenOutage // Set for a group of an outage policy.
}

// Object is one incident as it should be in Kubernetes.
type Object struct {
	Name, Namespace string
	// Fingerprint of the alert that opened it; empty when that is not known any more.
	Fingerprint string
	// Delete is true when its retention is over: it should no longer exist.
	Delete bool
	Storm  bool
	State  State
	// Reason of the end: AllResolved, Quiet or MaxDuration.
	Reason   string
	Revision int64
	// ResourceVersion is the one of our last write, empty when the object may not be there yet.
	ResourceVersion string
	// Times on Redis' clock; zero when they have not come.
	OpenedAt, StormAt, EndedAt, ReopenedAt, ChangedAt time.Time
	Reopened                                          int
	AbsorbedBy                                        string
	// Total, Firing count its alerts; Beyond are those over maxAlerts, which are not among Members.
	Total, Firing, Beyond int
	Truncated             bool
	CommonLabels          map[string]string
	// Facts of the alert that opened it.
	Facts Facts
	// Members are its alerts, in no order. An outage has none.
	Members []Member
	// PartOf is the name of the outage that it is part of, empty for a root.
	PartOf string
	// Labels are those that all its alerts that have them agree on, as outages are grouped by them. Those of look-ups
	// are among them.
	Labels map[string]string
	// Outage is set for the object of an outage. Total and Firing count its incidents.
	Outage *Outage

	parent   *parent
	up       *up // What outages were told last, and what they were told now.
	reported *up
	found    bool // In Kubernetes, by an import.
}

// Busy is returned by Snapshot when another pod has the lease or the group's flush interval is not over, with the time
// (on Redis' clock) at which that ends.
type Busy struct{ Until time.Time }

func (b *Busy) Error() string {
	return "the group is not to be written before " + b.Until.Format(time.RFC3339)
}

// ErrNotImported is returned by Snapshot while the group's shard has not been imported from Kubernetes.
var ErrNotImported = errors.New("the shard has not been imported yet")

// ErrWaiting is returned by Snapshot for a group whose import is done and in which alerts have waited for it: Replay
// them first.
var ErrWaiting = errors.New("alerts wait to be folded")

// Snapshot takes the lease of a group, or uses the token of a lease that a fold granted, and reads what has to be
// written. Now disregards the flush interval. It returns nil when there is nothing to write, a *Busy when it is not the
// time or another pod is at it, and ErrNotImported or ErrWaiting when something else has to come first.
func (a *Aggregator) Snapshot(ctx context.Context, group, token string, now bool) (*Snapshot, error) {
	if token == "" {
		token = uuid.NewString()
	}
	if IsOutage(group) {
		return a.snapshotOutage(ctx, group, token, now)
	}
	reply, err := a.scripts.snapshot.Run(ctx, a.rdb, a.keys.script(group),
		a.scriptTime(), token, a.lease.Milliseconds(), group, flag(now)).Result()
	if err != nil {
		return nil, fmt.Errorf("taking a snapshot of group %s: %w", group, classify(err))
	}
	s, page, err := decodeSnapshot(reply, group, ShardOf(group), token)
	if err != nil || s == nil {
		return nil, err
	}
	for i := range s.Objects {
		if err := a.addMembers(ctx, &s.Objects[i], page[i], a.keys.group(group)); err != nil {
			return nil, fmt.Errorf("reading the alerts of group %s: %w", group, classify(err))
		}
		a.label(s, &s.Objects[i])
	}
	return s, nil
}

// members says where the alerts of one object come from.
type members struct {
	records           []any
	since, generation int64
	single            string
	breakdown         []string
}

// addMembers fills in an object's alerts: one from its facts, or those of a storm from the records, which came with the
// snapshot when they were few and are scanned here when they are many.
func (a *Aggregator) addMembers(ctx context.Context, o *Object, from members, keys groupKeys) error {
	switch {
	case o.Total == 0 && o.State != StateFiring:
		return nil // Nobody knows for which alert it was made, or that one is in another incident.
	case !o.Storm:
		o.Members = []Member{o.Facts.member(from.single, o.Firing > 0, from.breakdown)}
		return nil
	}
	add := func(fingerprint, record string) error {
		m, ok, err := memberOf(fingerprint, record, from.since, from.generation)
		if ok {
			o.Members = append(o.Members, m)
		}
		return err
	}
	if len(from.records) > 0 {
		for i := 0; i+1 < len(from.records); i += 2 {
			if err := add(fmt.Sprint(from.records[i]), fmt.Sprint(from.records[i+1])); err != nil {
				return err
			}
		}
	} else {
		// A scan may show an alert twice while the hash grows.
		seen := map[string]bool{}
		scan := a.rdb.HScan(ctx, keys.alerts, 0, "", 1000).Iterator()
		for scan.Next(ctx) {
			fingerprint := scan.Val()
			if !scan.Next(ctx) {
				break
			}
			if seen[fingerprint] {
				continue
			}
			seen[fingerprint] = true
			if err := add(fingerprint, scan.Val()); err != nil {
				return err
			}
		}
		if err := scan.Err(); err != nil {
			return err
		}
		// Between snapshot and scan Redis may have been emptied, or have failed over to a replica that lags: a list
		// that misses alerts must not be written over the one in Kubernetes.
		group, err := a.rdb.HMGet(ctx, keys.hash, "revision").Result()
		if err != nil {
			return err
		}
		revision, _ := strconv.ParseInt(fmt.Sprint(group[0]), 10, 64)
		if o.State == StateFiring && (len(seen) == 0 || revision < o.Revision) {
			return fmt.Errorf("the group changed under the scan: %w", ErrUnavailable)
		}
	}
	if o.State == StateFiring && len(o.Members) < o.Total {
		// Alerts only ever join an open storm. Redis has failed over, between two pages, to a replica whose scan goes
		// another way.
		return fmt.Errorf("the scan found %d of %d alerts: %w", len(o.Members), o.Total, ErrUnavailable)
	}
	if o.State == StateFiring && !o.Truncated {
		// What is listed and what is counted agree, also when an alert came between snapshot and scan.
		o.Total, o.Firing = len(o.Members), 0
		for _, m := range o.Members {
			if m.Firing {
				o.Firing++
			}
		}
	}
	return nil
}

// decodeSnapshot reads the reply of snapshot.lua.
func decodeSnapshot(reply any, group string, shard int, token string) (*Snapshot, []members, error) {
	r := newReader(reply)
	switch kind := r.string(); {
	case r.err != nil:
		return nil, nil, fmt.Errorf("reading the reply of snapshot: %w", r.err)
	case kind == "none":
		return nil, nil, nil
	case kind == "import":
		return nil, nil, ErrNotImported
	case kind == "waiting":
		return nil, nil, ErrWaiting
	case kind == "busy":
		return nil, nil, &Busy{Until: r.time()}
	}
	s := &Snapshot{Group: group, Shard: shard, Token: token}
	s.Now = r.time()
	r.json(&s.Labels)
	s.Policy = r.string()
	var p projection
	r.json(&p)
	s.MaxListed, s.Breakdown, s.Severities = p.MaxListed, p.Breakdown, p.Severities
	records := r.list()
	var from []members
	for _, item := range r.list() {
		o, m, err := decodeObject(item)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the reply of snapshot: %w", err)
		}
		m.records, m.breakdown = records, p.Breakdown
		s.Objects, from = append(s.Objects, o), append(from, m)
	}
	s.Transitions = r.transitions(group, s.Policy, s.Labels["alertname"])
	s.TookOver = r.int() == 1
	if r.err != nil {
		return nil, nil, fmt.Errorf("reading the reply of snapshot: %w", r.err)
	}
	return s, from, nil
}

func decodeObject(item any) (Object, members, error) {
	r := newReader(item)
	var e entry
	o := Object{Name: r.string(), Delete: r.string() == "delete"}
	r.json(&e)
	r.json(&o.Facts)
	o.Fingerprint, o.Namespace, o.Storm, o.State, o.Reason = e.Fingerprint, e.Namespace, e.storm(), e.State, e.Reason
	o.Revision, o.ResourceVersion, o.Reopened, o.AbsorbedBy = e.Revision, e.ResourceVersion, e.Reopened, e.AbsorbedBy
	o.OpenedAt, o.StormAt, o.EndedAt = msTime(e.OpenedAt), msTime(e.StormAt), msTime(e.EndedAt)
	o.ReopenedAt, o.ChangedAt = msTime(e.ReopenedAt), msTime(e.ChangedAt)
	o.Total, o.Firing, o.Beyond, o.Truncated = e.Total, e.Firing, e.Beyond, e.Truncated
	o.parent, o.up, o.PartOf = e.Parent, e.Up, e.Parent.outage()
	o.CommonLabels = o.Facts.Labels
	if o.Storm {
		o.CommonLabels = nil
		if err := unmarshalLabels(e.Common, &o.CommonLabels); err != nil && r.err == nil {
			r.err = err
		}
	}
	return o, members{since: e.Since, generation: e.Generation, single: e.Fingerprint}, r.err
}

// unmarshalLabels reads labels as the scripts keep them, JSON or empty.
func unmarshalLabels(text string, into *map[string]string) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%w: labels %q", ErrReply, text)
	}
	return nil
}
