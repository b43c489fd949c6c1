package aggregator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/subject"
)

// label gives an incident of a group the labels that outages use.
func (a *Aggregator) label(s *Snapshot, o *Object) {
	outages := a.outagePolicies()
	if len(outages) == 0 {
		return
	}
	var known map[string]string
	if o.up != nil {
		known = o.up.Labels
	}
	o.Labels = incidentLabels(s.Policy, o, s.Labels, known, firstsOf(outages), s.Severities.Rank)
}

// report tells the groups of outage policies of what was written. Their answers do not matter: each group is due then,
// and tells the incident of which outage it is a part.
func (a *Aggregator) report(ctx context.Context, s *Snapshot, confirmed []Confirmed) error {
	outages, _ := a.outages()
	var calls []call
	for i := range s.Objects {
		o := &s.Objects[i]
		if !slices.ContainsFunc(confirmed, func(c Confirmed) bool { return c.Name == o.Name }) ||
			len(outages) == 0 && o.up == nil {
			continue
		}
		more, err := a.reportsOf(s, o, outages)
		if err != nil {
			return err
		}
		calls = append(calls, more...)
	}
	return a.sendReports(ctx, calls)
}

func (a *Aggregator) sendReports(ctx context.Context, calls []call) error {
	if len(calls) == 0 {
		return nil
	}
	for i, result := range a.run(ctx, a.scripts.report, calls) {
		if result.err != nil {
			return fmt.Errorf("reporting an incident to its outages: %w", classify(result.err))
		}
		r := newReader(result.reply)
		changed := r.int() == 1
		due := r.time()
		if r.err != nil {
			return fmt.Errorf("reading the reply of report: %w", r.err)
		}
		if changed {
			a.woken(calls[i].token, due)
		}
	}
	return nil
}

// reportsOf are the reports about one incident: to each group that it belongs to, and to those that it has left. The
// latter are those of its last report, the one that has told it, and, when it is gone, all of its labels: a report may
// have arrived whose settle did not.
func (a *Aggregator) reportsOf(s *Snapshot, o *Object, outages []config.Outage) ([]call, error) {
	var calls []call
	var left []string
	if o.up != nil {
		left = slices.Clone(o.up.Groups)
	}
	if o.parent != nil && o.parent.Group != "" {
		left = append(left, o.parent.Group)
	}
	o.reported = &up{Labels: o.Labels}
	part := partOf(s, o)
	for i := range outages {
		p := &outages[i]
		if !p.Matches(o.Labels) || !a.above(s, p, outages) {
			continue
		}
		group, labels := outageGroupID(p, o.Labels)
		if o.Delete || o.State == StateAbsorbed || o.Total == 0 {
			left = append(left, group)
			continue
		}
		r := report{Part: part}
		if o.parent.outage() != "" && o.parent.Group != group {
			r.Parent = o.parent
		}
		facts, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(labels)
		if err != nil {
			return nil, err
		}
		o.reported.Groups = append(o.reported.Groups, group)
		calls = append(calls, a.reportCall(group, p, string(text), o, part.StartsAt, string(facts)))
	}
	slices.Sort(left)
	for _, group := range slices.Compact(left) {
		if !slices.Contains(o.reported.Groups, group) {
			calls = append(calls, a.reportCall(group, nil, "{}", o, part.StartsAt, ""))
		}
	}
	return calls, nil
}

// above tells whether incidents of the group may be part of outages of a policy. Those of alert policies may, and an
// outage may be a part of one of a later policy: so there are no circles.
func (a *Aggregator) above(s *Snapshot, p *config.Outage, outages []config.Outage) bool {
	if s.outage == nil {
		return true
	}
	own := slices.IndexFunc(outages, func(o config.Outage) bool { return o.Name == s.Policy })
	return own >= 0 && own < p.Rank
}

func (a *Aggregator) reportCall(
	group string,
	p *config.Outage,
	labels string,
	o *Object,
	start time.Time,
	facts string,
) call {
	name, most := "", 0
	if p != nil {
		name, most = p.Name, p.MaxIncidents
	}
	return call{
		shard: ShardOf(group), keys: a.keys.outage(group), token: group,
		args: []any{
			a.scriptTime(), group, name, labels, most,
			o.Name, o.Revision, max(0, start.UnixMilli()), facts,
			flag(o.found && (o.parent.outage() == "" || o.parent.Group == "")),
		},
	}
}

// partOf is an incident as outages see it.
func partOf(s *Snapshot, o *Object) Part {
	p := Part{
		Name: o.Name, Namespace: o.Namespace, Group: s.Group, Type: cmp.Or(o.Labels[labelType], typeAlert),
		Firing: o.State == StateFiring, StartsAt: o.OpenedAt, EndedAt: o.EndedAt, Severity: o.Labels[labelSeverity],
		Alerts: o.Total + o.Beyond, AlertsFiring: o.Firing, Labels: o.Labels,
		AlertName: cmp.Or(o.CommonLabels["alertname"], s.Labels["alertname"]),
	}
	if o.Outage != nil {
		p.Alerts, p.AlertsFiring = 0, 0
		for _, member := range o.Outage.Members {
			p.Alerts, p.AlertsFiring = p.Alerts+member.Alerts, p.AlertsFiring+member.AlertsFiring
			if member.StartsAt.Before(p.StartsAt) {
				p.StartsAt = member.StartsAt
			}
			if member.Name == o.Outage.Cause {
				p.Subject = member.Subject
			}
		}
		p.Subject = OutageSubject(s.Labels, p.Subject)
		return p
	}
	one := true
	for i, m := range symptoms(o.Members) {
		if m.StartsAt.Unix() > 0 && m.StartsAt.Before(p.StartsAt) {
			p.StartsAt = m.StartsAt
		}
		if i == 0 {
			p.Subject = m.Resource
		}
		one = one && m.Resource == p.Subject
	}
	if !one {
		p.Subject = subject.Resource{}
	}
	return p
}

// reported is what the outages of an incident were told, as JSON, empty for nothing.
func (s *Snapshot) reported(name string) string {
	for i := range s.Objects {
		if o := &s.Objects[i]; o.Name == name && o.reported != nil {
			text, err := json.Marshal(o.reported)
			if err == nil {
				return string(text)
			}
		}
	}
	return ""
}
