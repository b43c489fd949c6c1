package aggregator

import (
	"context"
	"encoding/json"
	"errors"
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

// importOutage gives an outage back to Redis. It returns whether Redis did not know it. While another pod writes the
// group there is nothing to do: that one knows it.
func (a *Aggregator) importOutage(ctx context.Context, i Imported) (bool, error) {
	labels, err := json.Marshal(i.Labels)
	if err != nil {
		return false, err
	}
	if i.Labels == nil {
		labels = []byte("{}")
	}
	// Without an incident to report it makes the group, if there is none.
	if err := a.scripts.report.Run(ctx, a.rdb, a.keys.outage(i.Group),
		a.scriptTime(), i.Group, i.Policy, string(labels), 0).Err(); err != nil {
		return false, fmt.Errorf("importing outage %s: %w", i.Object.Name, classify(err))
	}
	t, err := a.takeOutage(ctx, i.Group, "import "+i.Object.Name, true)
	var busy *Busy
	if errors.As(err, &busy) {
		return false, nil
	}
	if err != nil || t == nil {
		return false, err
	}
	o := i.Object
	e := t.state.Outages[o.Name]
	if e != nil {
		if e.State == StateFiring && e.Confirmed > 0 &&
			(o.Revision != e.Confirmed || o.ResourceVersion != e.ResourceVersion) { // Someone changed it.
			t.state.Revision = max(t.state.Revision, o.Revision)
			e.ResourceVersion = o.ResourceVersion
			t.touch(e)
		}
		if e.Up, err = a.reportFound(ctx, i, e.Parent, e.Up); err != nil {
			return false, err
		}
		return false, a.saveOutage(ctx, t, true, t.now)
	}
	e = &outageEntry{
		State: o.State, Reason: o.Reason, AbsorbedBy: o.AbsorbedBy, OpenedAt: o.OpenedAt.UnixMilli(),
		ChangedAt: o.ChangedAt.UnixMilli(), Reopened: o.Reopened, Cause: o.Outage.Cause, Revision: o.Revision,
		Confirmed: o.Revision, ResourceVersion: o.ResourceVersion, Namespace: o.Namespace, Parent: foundParent(o),
	}
	if o.State != StateFiring {
		e.EndedAt = o.EndedAt.UnixMilli()
	}
	if e.Up, err = a.reportFound(ctx, i, e.Parent, nil); err != nil {
		return false, err
	}
	var imported []any
	for _, p := range o.Outage.Members {
		facts, err := json.Marshal(report{Part: p})
		if err != nil {
			return false, err
		}
		e.Members = append(e.Members, p.Name)
		imported = append(imported, p.Name, "0"+sep+strconv.FormatInt(max(0, p.StartsAt.UnixMilli()), 10)+sep+string(facts))
	}
	t.state.Revision = max(t.state.Revision, o.Revision)
	t.state.Outages[o.Name] = e
	return true, a.saveOutage(ctx, t, true, t.now, imported...)
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

// differsOutage has an outage written again.
func (a *Aggregator) differsOutage(ctx context.Context, s Standing, resourceVersion string) error {
	t, err := a.takeOutage(ctx, s.Group, "differs "+s.Name, true)
	var busy *Busy
	if errors.As(err, &busy) || t == nil {
		return nil // Another pod writes it.
	}
	if err != nil {
		return err
	}
	if e := t.state.Outages[s.Name]; e != nil && e.State == StateFiring && e.Confirmed == s.Revision {
		e.ResourceVersion = resourceVersion
		t.touch(e)
	}
	return a.saveOutage(ctx, t, true, t.now)
}
