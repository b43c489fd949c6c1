package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// unknownRank is that of an outage of which only the name is known: whatever an incident is told counts more.
const unknownRank = 1000

// foundParent is the outage that an incident in Kubernetes says it is part of.
func foundParent(o Object) *parent {
	if o.PartOf == "" {
		return nil
	}
	return &parent{Name: o.PartOf, Rank: unknownRank}
}

// known is an incident that was found in Kubernetes as Redis knows it.
func (e *entry) known(o Object) Object {
	o.State, o.EndedAt, o.Revision = e.State, msTime(e.EndedAt), e.Confirmed
	o.Firing, o.Total, o.Beyond = e.Firing, e.Total, e.Beyond
	return o
}

// reportFound reports an incident that was found in Kubernetes to its outages, which may have been lost with their
// shard. What they know already changes nothing. By is the outage that it is part of, and told what its outages were
// told, as far as Redis knows it.
func (a *Aggregator) reportFound(ctx context.Context, i Imported, by *parent, told *up) (*up, error) {
	outages, _ := a.outages()
	o := i.Object
	if told != nil {
		o.Labels = told.Labels
	}
	if len(outages) == 0 || len(o.Labels) == 0 {
		return told, nil
	}
	o.parent, o.up, o.found = by, told, true
	s := &Snapshot{Group: i.Group, Policy: i.Policy, Labels: i.Labels}
	if o.Outage != nil {
		s.outage = &takenOutage{}
	}
	calls, err := a.reportsOf(s, &o, outages)
	if err != nil {
		return nil, err
	}
	return o.reported, a.sendReports(ctx, calls)
}

// foundOutage is an outage as Kubernetes shows it.
type foundOutage struct {
	name string
	outageEntry
}

// merge takes over an outage that the group does not know, and has one written again that is not in Kubernetes as the
// group believes. A note without a state says so itself. An open outage that a pod wrote after Redis was emptied is
// absorbed by the one that got its members meanwhile.
func (g *outageGroup) merge(f *foundOutage) {
	switch e := g.state.Outages[f.name]; {
	case e == nil && f.State != "":
		g.state.Revision = max(g.state.Revision, f.Revision)
		if owner := g.ownerOf(f.Members); owner != "" && f.State == StateFiring {
			f.State, f.AbsorbedBy, f.EndedAt = StateAbsorbed, owner, g.now
			g.touch(&f.outageEntry)
		}
		g.state.Outages[f.name] = &f.outageEntry
	case e == nil || e.State != StateFiring || e.Confirmed == 0:
	case f.State == "" && f.Confirmed == e.Confirmed,
		f.State != "" && (f.Confirmed != e.Confirmed || f.ResourceVersion != e.ResourceVersion):
		g.state.Revision = max(g.state.Revision, f.Revision)
		e.ResourceVersion = f.ResourceVersion
		g.touch(e)
	}
}

// ownerOf is the outage that most of the incidents were told they are part of, empty for none.
func (g *outageGroup) ownerOf(members []string) string {
	told := map[string]int{}
	for _, member := range members {
		if owner := g.state.Told[member]; g.state.Outages[owner] != nil {
			told[owner]++
		}
	}
	for owner, n := range told {
		if 2*n > len(members) && g.state.Outages[owner].State != StateAbsorbed {
			return owner
		}
	}
	return ""
}

// importOutage notes an outage for the next snapshot of its group, and reports it to later policies. It returns whether
// Redis did not know the group.
func (a *Aggregator) importOutage(ctx context.Context, i Imported) (bool, error) {
	o := i.Object
	e := outageEntry{
		State: o.State, Reason: o.Reason, AbsorbedBy: o.AbsorbedBy, OpenedAt: o.OpenedAt.UnixMilli(),
		ChangedAt: o.ChangedAt.UnixMilli(), Reopened: o.Reopened, Cause: o.Outage.Cause, Revision: o.Revision,
		Confirmed: o.Revision, ResourceVersion: o.ResourceVersion, Namespace: o.Namespace, Parent: foundParent(o),
	}
	if o.State != StateFiring {
		e.EndedAt = o.EndedAt.UnixMilli()
	}
	var err error
	if e.Up, err = a.reportFound(ctx, i, e.Parent, nil); err != nil {
		return false, err
	}
	var parts []any
	for _, p := range o.Outage.Members {
		facts, err := json.Marshal(report{Part: p})
		if err != nil {
			return false, err
		}
		e.Members = append(e.Members, p.Name)
		parts = append(parts, p.Name, "0"+sep+strconv.FormatInt(max(0, p.StartsAt.UnixMilli()), 10)+sep+string(facts))
	}
	return a.noteFound(ctx, i, o.Name, &e, parts...)
}

// noteFound leaves a note about an outage for whoever takes its group next. It returns whether Redis did not know the
// group.
func (a *Aggregator) noteFound(
	ctx context.Context, i Imported, name string, e *outageEntry, parts ...any,
) (bool, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return false, err
	}
	labels, err := json.Marshal(i.Labels)
	if err != nil {
		return false, err
	}
	args := append([]any{a.scriptTime(), i.Group, i.Policy, string(labels), name, string(text)}, parts...)
	reply, err := a.scripts.found.Run(ctx, a.rdb, a.keys.outage(i.Group), args...).Result()
	if err != nil {
		return false, fmt.Errorf("noting outage %s: %w", name, classify(err))
	}
	r := newReader(reply)
	isNew := r.int() == 1
	due := r.time()
	if r.err != nil {
		return false, fmt.Errorf("reading the reply of found: %w", r.err)
	}
	a.woken(i.Group, due)
	return isNew, nil
}

// standingOutages appends the outages of a group that should be open in Kubernetes.
func (a *Aggregator) standingOutages(ctx context.Context, out []Standing, group string) ([]Standing, error) {
	text, err := a.rdb.HMGet(ctx, a.keys.outage(group)[2], "state").Result()
	if err != nil {
		return nil, fmt.Errorf("reading outage group %s: %w", group, classify(err))
	}
	state := outageState{}
	if s, ok := text[0].(string); ok && s != "" {
		if err := json.Unmarshal([]byte(s), &state); err != nil {
			return nil, fmt.Errorf("outage group %s: %w: %w", group, ErrReply, err)
		}
	}
	for name, e := range state.Outages {
		if e.State == StateFiring && e.Confirmed > 0 {
			out = append(out, Standing{Group: group, Name: name, Namespace: e.Namespace, Revision: e.Confirmed})
		}
	}
	return out, nil
}

// differsOutage has an outage written again that is not in Kubernetes as Redis believes.
func (a *Aggregator) differsOutage(ctx context.Context, s Standing, resourceVersion string) error {
	_, err := a.noteFound(ctx, Imported{Group: s.Group}, s.Name, &outageEntry{
		Confirmed: s.Revision, ResourceVersion: resourceVersion,
	})
	return err
}
