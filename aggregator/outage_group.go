package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stormfold/stormfold/config"
)

// outageMark ends the id of a group of an outage policy.
const outageMark = "o"

// Fields that begin with these are notes: of a member that was found without knowing its outage, and of an outage that
// was found in Kubernetes.
const (
	untold      = "untold:"
	foundPrefix = "found:"
)

// tellAgain is when members are told again that could not be.
const tellAgain = 2 * time.Second

// IsOutage tells whether a group is one of an outage policy, which folds incidents instead of alerts.
func IsOutage(group string) bool { return strings.HasSuffix(group, outageMark) }

// outageGroupID is the group of an outage policy that an incident with these labels belongs to, and its labels.
func outageGroupID(p *config.Outage, values map[string]string) (string, map[string]string) {
	labels := map[string]string{}
	for _, name := range p.GroupBy {
		if value := p.Value(values, name); value != "" {
			labels[name] = value
		}
	}
	return GroupID("outage "+p.Name, labels) + outageMark, labels
}

// takenOutage is a group of an outage policy under its lease, between Snapshot and Settle.
type takenOutage struct {
	*outageGroup
	token   string
	version int64
}

// takeOutage takes the lease of a group of an outage policy and reads it. It returns nil when there is no such group.
func (a *Aggregator) takeOutage(ctx context.Context, id, token string, now bool) (*takenOutage, error) {
	reply, err := a.scripts.take.Run(ctx, a.rdb, a.keys.outage(id),
		a.scriptTime(), id, token, a.lease.Milliseconds(), flag(now)).Result()
	if err != nil {
		return nil, fmt.Errorf("reading outage group %s: %w", id, classify(err))
	}
	r := newReader(reply)
	switch kind := r.string(); {
	case r.err != nil:
		return nil, fmt.Errorf("reading the reply of take: %w", r.err)
	case kind == "none":
		return nil, nil
	case kind == "import":
		return nil, ErrNotImported
	case kind == "busy":
		return nil, &Busy{Until: r.time()}
	}
	g := &outageGroup{id: id, now: r.int(), reports: map[string]*report{}}
	t := &takenOutage{outageGroup: g, token: token, version: r.int()}
	fields, parts := r.list(), r.list()
	if r.err != nil {
		return nil, fmt.Errorf("reading the reply of take: %w", r.err)
	}
	if err := t.readFields(fields); err != nil {
		return nil, fmt.Errorf("outage group %s: %w", id, err)
	}
	for i := 0; i+1 < len(parts); i += 2 {
		name := fmt.Sprint(parts[i])
		if name == "#" {
			continue
		}
		if g.reports[name], err = parseReport(fmt.Sprint(parts[i+1])); err != nil {
			return nil, fmt.Errorf("outage group %s, incident %s: %w", id, name, err)
		}
	}
	outages, _ := a.outages()
	if i := slices.IndexFunc(outages, func(o config.Outage) bool { return o.Name == g.name }); i >= 0 {
		g.policy = &outages[i]
	}
	return t, nil
}

// readFields reads the group's hash: what was decided, and which outages of later policies have told that one of this
// group is part of them.
func (t *takenOutage) readFields(fields []any) error {
	tellers := map[string]*parent{}
	for i := 0; i+1 < len(fields); i += 2 {
		field, value := fmt.Sprint(fields[i]), fmt.Sprint(fields[i+1])
		var err error
		switch {
		case field == "policy":
			t.name = value
		case field == "labels":
			err = unmarshalLabels(value, &t.labels)
		case field == "truncated":
			t.truncated = true
		case field == "state" && value != "":
			err = json.Unmarshal([]byte(value), &t.state)
		case strings.HasPrefix(field, untold):
			t.untold = append(t.untold, strings.TrimPrefix(field, untold))
		case strings.HasPrefix(field, foundPrefix):
			_, text, _ := strings.Cut(value, sep)
			f := foundOutage{name: strings.TrimPrefix(field, foundPrefix)}
			err = json.Unmarshal([]byte(text), &f.outageEntry)
			t.found = append(t.found, f)
		case strings.HasPrefix(field, "told:"):
			name, _, _ := strings.Cut(strings.TrimPrefix(field, "told:"), ":")
			teller := &parent{}
			if err = json.Unmarshal([]byte(value), teller); err == nil && teller.Name != "" &&
				(tellers[name] == nil || teller.Rank < tellers[name].Rank) {
				tellers[name] = teller
			}
		}
		if err != nil {
			return fmt.Errorf("%w: field %s: %w", ErrReply, field, err)
		}
	}
	if t.state.Outages == nil {
		t.state.Outages = map[string]*outageEntry{}
	}
	if t.state.Told == nil {
		t.state.Told = map[string]string{}
	}
	for _, member := range t.untold {
		delete(t.state.Told, member)
	}
	for i := range t.found {
		t.merge(&t.found[i])
	}
	// Redis' clock may have been set back.
	t.state.LastFlush, t.state.Waits = min(t.state.LastFlush, t.now), min(t.state.Waits, t.now)
	for name, e := range t.state.Outages {
		if teller := tellers[name]; teller.outage() != e.Parent.outage() {
			t.touch(e)
		}
		e.Parent = tellers[name]
	}
	return nil
}

// parseReport reads what report.lua writes: revision, start, facts.
func parseReport(text string) (*report, error) {
	parts := strings.SplitN(text, sep, 3)
	if len(parts) < 3 {
		return nil, fmt.Errorf("%w: report %q", ErrReply, text)
	}
	revision, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: report %q", ErrReply, text)
	}
	start, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: report %q", ErrReply, text)
	}
	r := &report{Gone: parts[2] == ""}
	if !r.Gone {
		if err := json.Unmarshal([]byte(parts[2]), r); err != nil {
			return nil, fmt.Errorf("%w: report: %w", ErrReply, err)
		}
		r.StartsAt = msTime(start)
	}
	r.Revision = revision
	return r, nil
}

// saveOutage writes what was decided. It returns an error when the lease was gone.
func (a *Aggregator) saveOutage(ctx context.Context, t *takenOutage, release bool, at int64) error {
	state := ""
	if len(t.state.Outages) > 0 || len(t.reports) > len(t.forgotten) {
		text, err := json.Marshal(t.state)
		if err != nil {
			return err
		}
		state = string(text)
	}
	if at == 0 {
		at = t.now + (24 * time.Hour).Milliseconds()
	}
	args := []any{
		a.scriptTime(), t.id, t.token, t.version, state, flag(release), t.notBefore(), t.state.Interval, at,
	}
	for _, name := range t.forgotten {
		args = append(args, name, t.reports[name].Revision)
	}
	n, err := a.scripts.save.Run(ctx, a.rdb, a.keys.outage(t.id), args...).Int()
	switch {
	case err != nil:
		return fmt.Errorf("saving outage group %s: %w", t.id, classify(err))
	case n == 0:
		return fmt.Errorf("saving outage group %s: the lease is gone: %w", t.id, ErrUnavailable)
	}
	for _, name := range t.forgotten {
		delete(t.reports, name)
	}
	t.forgotten = nil
	return nil
}

// notBefore is when the group may be written next (ms).
func (g *outageGroup) notBefore() int64 { return g.state.LastFlush + g.state.Interval }

// flushed lengthens the flush interval while flushes follow each other closely.
func (g *outageGroup) flushed() {
	least, most := time.Second.Milliseconds(), (15 * time.Second).Milliseconds()
	if g.policy != nil {
		least, most = g.policy.Flush.Min.Milliseconds(), g.policy.Flush.Max.Milliseconds()
	}
	if g.state.Interval > 0 && g.now-g.state.LastFlush < 2*g.state.Interval {
		g.state.Interval = min(2*g.state.Interval, most)
	} else {
		g.state.Interval = least
	}
	g.state.LastFlush = g.now
}

// snapshotOutage is Snapshot for a group of an outage policy: it decides, saves that, and says what has to be written.
func (a *Aggregator) snapshotOutage(ctx context.Context, id, token string, now bool) (*Snapshot, error) {
	t, err := a.takeOutage(ctx, id, token, now)
	if err != nil || t == nil {
		return nil, err
	}
	t.decide(a.namespace)
	s := &Snapshot{
		Group: id, Shard: ShardOf(id), Policy: t.name, Labels: t.labels, Token: token, Now: msTime(t.now), outage: t,
	}
	if t.policy != nil {
		s.MaxListed = t.policy.MaxListed
	}
	_, retention := t.times()
	for _, name := range t.byAge() {
		e := t.state.Outages[name]
		over := e.State != StateFiring && e.Confirmed == e.Revision && t.now >= e.EndedAt+retention.Milliseconds()
		if e.Revision > e.Confirmed || over {
			s.Objects = append(s.Objects, t.object(name, e, over))
		}
	}
	if len(s.Objects) == 0 {
		_, err := a.settleOutage(ctx, s, nil, 0)
		return nil, err
	}
	t.flushed()
	// What was decided is safe before anything of it is written.
	if err := a.saveOutage(ctx, t, false, t.due()); err != nil {
		return nil, err
	}
	return s, nil
}

// object is an outage as it should be in Kubernetes.
func (g *outageGroup) object(name string, e *outageEntry, remove bool) Object {
	o := Object{
		Name: name, Namespace: e.Namespace, Delete: remove, State: e.State, Reason: e.Reason, AbsorbedBy: e.AbsorbedBy,
		Revision: e.Revision, ResourceVersion: e.ResourceVersion, OpenedAt: msTime(e.OpenedAt), EndedAt: msTime(e.EndedAt),
		ReopenedAt: msTime(e.ReopenedAt), ChangedAt: msTime(e.ChangedAt), Reopened: e.Reopened, Truncated: g.truncated,
		Outage: &Outage{Policy: g.name, Evidence: g.evidence(), Cause: e.Cause}, parent: e.Parent, up: e.Up,
		PartOf: e.Parent.outage(),
	}
	for _, member := range e.Members {
		r := g.reports[member]
		if r == nil || r.Gone {
			continue
		}
		part := r.Part
		part.Cause = g.policy != nil && isCause(g.policy, part.Labels)
		o.Outage.Members = append(o.Outage.Members, part)
		o.Total++
		if part.Firing {
			o.Firing++
		}
	}
	o.Labels = outageLabels(g.name, g.labels, o.Outage.Members)
	return o
}

func (g *outageGroup) evidence() Evidence {
	switch {
	case g.policy == nil:
		return EvidenceLabel
	case len(g.policy.Cause) > 0:
		return EvidenceCause
	case restsOnTime(g.policy):
		return EvidenceTime
	}
	return EvidenceLabel
}

// settleOutage is Settle for a group of an outage policy: it remembers what was written, and tells the members.
func (a *Aggregator) settleOutage(
	ctx context.Context, s *Snapshot, confirmed []Confirmed, delay time.Duration,
) (time.Time, error) {
	t := s.outage
	for _, c := range confirmed {
		e := t.state.Outages[c.Name]
		i := slices.IndexFunc(s.Objects, func(o Object) bool { return o.Name == c.Name })
		if e == nil || i < 0 {
			continue
		}
		e.Up = s.Objects[i].reported
		switch {
		case c.Revision == 0:
			delete(t.state.Outages, c.Name)
		case c.Revision > e.Revision:
			t.state.Revision = max(t.state.Revision, c.Revision)
			t.touch(e)
		default:
			e.Confirmed = max(e.Confirmed, c.Revision)
		}
		e.ResourceVersion, e.Namespace = c.ResourceVersion, c.Namespace
	}
	told, failed := a.tell(ctx, t)
	maps.Copy(t.state.Told, told)
	maps.DeleteFunc(t.state.Told, func(_, name string) bool { return name == "" })
	at := t.due()
	if len(t.forgotten) > 0 { // Members that are gone: what is left of the outage has to be decided.
		at = t.now
	}
	if failed != nil {
		delay = max(delay, tellAgain)
	}
	if delay > 0 {
		at = t.now + delay.Milliseconds()
	}
	if at > 0 {
		at = max(at, t.notBefore())
	}
	if err := a.saveOutage(ctx, t, true, at); err != nil {
		return time.Time{}, err
	}
	if at > 0 {
		a.woken(t.id, msTime(at))
	}
	return msTime(at), failed
}

// tell tells the members what they are part of. It returns those that know, and why others could not be told.
func (a *Aggregator) tell(ctx context.Context, t *takenOutage) (map[string]string, error) {
	tells := t.tells()
	told := map[string]string{}
	var failed error
	rank := 0
	if t.policy != nil {
		rank = t.policy.Rank
	}
	by := parent{Group: t.id, Rank: rank, At: max(t.now, t.state.Revision)}
	for _, member := range slices.Sorted(maps.Keys(tells)) {
		r := t.reports[member]
		if r == nil || r.Gone {
			told[member] = ""
			continue
		}
		by.Name = tells[member]
		known, err := a.tellOne(ctx, r.Group, member, by)
		switch {
		case err != nil:
			failed = err
		case known:
			told[member] = tells[member]
		default: // Nobody knows the incident any more.
			told[member] = ""
			if r.Firing {
				r.Firing, r.EndedAt = false, msTime(t.now)
			}
			t.forgotten = append(t.forgotten, member)
		}
	}
	return told, failed
}

// tellOne tells one incident. It returns false when its group does not know it.
func (a *Aggregator) tellOne(ctx context.Context, group, name string, by parent) (bool, error) {
	text, err := json.Marshal(by)
	if err != nil {
		return false, err
	}
	script, keys := a.scripts.tell, a.keys.script(group)
	if IsOutage(group) {
		script, keys = a.scripts.adopt, a.keys.outage(group)
	}
	reply, err := script.Run(ctx, a.rdb, keys, a.scriptTime(), group, name, text).Result()
	if err != nil {
		return false, fmt.Errorf("telling incident %s of outage %s: %w", name, by.Name, classify(err))
	}
	r := newReader(reply)
	switch known := r.string(); {
	case r.err != nil:
		return false, fmt.Errorf("reading the reply of tell: %w", r.err)
	case known == "wait":
		return false, fmt.Errorf("telling incident %s of outage %s: %w", name, by.Name, ErrNotImported)
	case known == "0":
		return false, nil
	}
	if due := r.time(); !due.IsZero() {
		a.woken(group, due)
	}
	return true, r.err
}
