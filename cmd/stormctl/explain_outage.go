package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
)

// The verdicts about an incident and an outage policy.
const (
	verdictMember    = "Member"         // It is part of an outage of the policy.
	verdictOutage    = "Outage"         // It is an outage of the policy.
	verdictPending   = "Pending"        // By the policy it is part of an outage that is not in Kubernetes yet.
	verdictEnded     = "Ended"          // It would have been, but all of its incidents have ended.
	verdictThreshold = "BelowThreshold" // Too few incidents began with it.
	verdictNoCause   = "NoCause"        // None of the incidents that began with it is a cause.
	verdictNoLabel   = "NoLabel"        // It lacks a label of groupBy.
	verdictNoMatch   = "NoMatch"        // It does not fulfil a matcher.
	verdictEarlier   = "EarlierPolicy"  // It is part of an outage of an earlier policy.
	verdictLater     = "LaterPolicy"    // It is an outage, which only later policies join.
	verdictAbsorbed  = "Absorbed"       // Another incident goes on in its place.
)

// judged is what an outage policy makes of an incident.
type judged struct {
	Policy  string `json:"policy"`
	Verdict string `json:"verdict"`
	// Outage is the one that the incident is part of, or that others with its labels are part of.
	Outage string `json:"outage,omitempty"`
	// Shared are the labels of groupBy with the incident's values.
	Shared map[string]string `json:"shared,omitempty"`
	// Incidents is how many are joined, the incident included, and Cause the one that explains the others.
	Incidents int    `json:"incidents,omitempty"`
	Cause     string `json:"cause,omitempty"`
	// Count of Threshold incidents, or values of the label Distinct, began within Window.
	Count     int    `json:"count,omitempty"`
	Threshold int    `json:"threshold"`
	Distinct  string `json:"distinct,omitempty"`
	Window    string `json:"window"`
	// Sentence says it in words.
	Sentence string `json:"sentence"`
}

// court judges incidents by what is known of all.
type court struct {
	outages []config.Outage
	all     []v1alpha1.Incident
	parts   map[string]aggregator.Part // By name, as outages see them.
	ranks   map[string]int             // Of the policy of each outage that is there.
}

// newCourt reads incidents as outages do. It returns what it could not read.
func newCourt(outages []config.Outage, all []v1alpha1.Incident) (*court, []string) {
	c := &court{outages: outages, all: all, parts: map[string]aggregator.Part{}, ranks: map[string]int{}}
	exact := map[string]time.Time{}
	var notes []string
	for i := range all {
		in := &all[i]
		c.parts[in.Name] = aggregator.Part{
			Name: in.Name, Firing: in.Status.State == v1alpha1.StateFiring, StartsAt: since(in.Status.StartedAt),
			EndedAt: since(in.Status.ResolvedAt), Labels: in.Status.Labels,
		}
		if in.Status.Type != v1alpha1.TypeOutage {
			continue
		}
		if rank := c.rank(in.Spec.Policy); rank >= 0 {
			c.ranks[in.Name] = rank
		}
		parts, err := projector.PartsOf(in)
		if err != nil {
			notes = append(notes, fmt.Sprintf("The incidents of outage %s cannot be read: %s.", in.Name, err))
		}
		for _, p := range parts {
			exact[p.Name] = p.StartsAt
		}
	}
	for name, start := range exact { // A status holds seconds only.
		if p, ok := c.parts[name]; ok {
			p.StartsAt = start
			c.parts[name] = p
		}
	}
	return c, notes
}

// rank is the place of an outage policy, -1 when there is none of that name.
func (c *court) rank(policy string) int {
	return slices.IndexFunc(c.outages, func(o config.Outage) bool { return o.Name == policy })
}

// find is an incident by its name.
func (c *court) find(name string) *v1alpha1.Incident {
	i := slices.IndexFunc(c.all, func(i v1alpha1.Incident) bool { return name != "" && i.Name == name })
	if i < 0 {
		return nil
	}
	return &c.all[i]
}

// judge says what each outage policy makes of an incident, in their order.
func (c *court) judge(i *v1alpha1.Incident) []judged {
	out := []judged{}
	for n := range c.outages {
		p := &c.outages[n]
		j := judged{Policy: p.Name, Threshold: p.Threshold, Distinct: p.Distinct, Window: model.Duration(p.Window).String()}
		c.one(&j, p, i)
		out = append(out, j)
	}
	return out
}

// one judges by one policy: first what is in Kubernetes, then what keeps the incident out, then the rule.
func (c *court) one(j *judged, p *config.Outage, i *v1alpha1.Incident) {
	values := i.Status.Labels
	parent, known := c.ranks[i.Status.PartOf]
	own, outage := c.rank(i.Spec.Policy), i.Status.Type == v1alpha1.TypeOutage
	switch lacking, failing := p.Lacking(values), p.Failing(values); {
	case i.Status.State == v1alpha1.StateAbsorbed:
		j.say(verdictAbsorbed, "not a member: is absorbed by %s", i.Status.AbsorbedBy)
	case outage && own == p.Rank:
		c.member(j, p, i, i.Name)
		j.say(verdictOutage, "is an outage of this policy: %s %s %s", count(j.Incidents, "incident"), j.share("that share"),
			j.facts())
	case known && parent == p.Rank:
		c.member(j, p, c.find(i.Status.PartOf), i.Name)
		j.say(verdictMember, "part of outage %s: %s %s", j.Outage, j.with(), j.facts())
	case outage && own > p.Rank:
		j.say(verdictLater, "not a member: an outage can only be part of one of a later policy")
	case lacking != "":
		j.say(verdictNoLabel, "not a member: has no label %s", lacking)
	case failing != nil:
		j.say(verdictNoMatch, "not a member: %s does not match, %s", failing, has(values, failing))
	case known && parent < p.Rank:
		j.say(verdictEarlier, "not a member: is part of %s, an outage of the earlier policy %s", i.Status.PartOf,
			c.outages[parent].Name)
	default:
		c.rule(j, p, i)
	}
}

// member fills in the facts of an outage and how it began, from its object.
func (c *court) member(j *judged, p *config.Outage, outage *v1alpha1.Incident, name string) {
	j.Outage, j.Shared = outage.Name, outage.Spec.GroupLabels
	if outage.Status.Incidents != nil {
		j.Incidents = int(outage.Status.Incidents.Total)
	}
	if outage.Status.ProbableCause != nil {
		j.Cause = outage.Status.ProbableCause.Incident
	}
	parts, err := projector.PartsOf(outage)
	if err != nil || len(parts) == 0 {
		parts = c.group(p, outage.Labels[v1alpha1.LabelGroup])
	}
	if name == outage.Name && len(parts) > 0 { // Its first run is what the outage began with.
		name = slices.MinFunc(parts, func(a, b aggregator.Part) int { return a.StartsAt.Compare(b.StartsAt) }).Name
	}
	j.Count = aggregator.Join(p, parts, name).Count
}

// group are the incidents that count in a group: those that no outage of an earlier policy has.
func (c *court) group(p *config.Outage, id string) []aggregator.Part {
	var out []aggregator.Part
	for i := range c.all {
		in := &c.all[i]
		part := c.parts[in.Name]
		if in.Status.State == v1alpha1.StateAbsorbed || !p.Matches(part.Labels) {
			continue
		}
		if of, _ := aggregator.OutageGroup(p, part.Labels); of != id {
			continue
		}
		if in.Status.Type == v1alpha1.TypeOutage && c.rank(in.Spec.Policy) >= p.Rank {
			continue
		}
		if parent, known := c.ranks[in.Status.PartOf]; !known || parent >= p.Rank {
			out = append(out, part)
		}
	}
	return out
}

// rule judges by the rule of the policy, for an incident that no outage of it has.
func (c *court) rule(j *judged, p *config.Outage, i *v1alpha1.Incident) {
	var id string
	id, j.Shared = aggregator.OutageGroup(p, i.Status.Labels)
	joined := aggregator.Join(p, c.group(p, id), i.Name)
	j.Count, j.Incidents, j.Cause = joined.Count, len(joined.Members), joined.Cause
	firing := slices.ContainsFunc(joined.Members, func(a aggregator.Part) bool { return a.Firing })
	switch {
	case j.Incidents > 0 && !firing:
		j.say(verdictEnded, "not a member: %s %s, but all of them have ended", j.with(), j.facts())
	case j.Incidents > 0 && p.Hold > 0:
		j.say(verdictPending, "not yet a member: %s %s; its outage is written after a hold of %s", j.with(), j.facts(),
			model.Duration(p.Hold))
	case j.Incidents > 0:
		j.say(verdictPending, "not yet a member: %s %s; its outage is not written yet", j.with(), j.facts())
	case j.Count >= j.Threshold:
		j.say(verdictNoCause, "not a member: %s began within %s (threshold %d), but none%s is a cause: %s", j.counted(),
			j.Window, j.Threshold, before(" with ", pairs(j.Shared)), matchers(p.Cause))
	default:
		began := fmt.Sprintf("%d of %s%s", j.Count, count(j.Threshold, "incident"), before(" with ", pairs(j.Shared)))
		if j.Distinct != "" {
			kind := "incidents"
			if len(p.Cause) > 0 {
				kind = "causes"
			}
			kind += " with "
			if len(j.Shared) > 0 {
				kind += pairs(j.Shared) + " and "
			}
			began = fmt.Sprintf("%s%d of %d values of %s", kind, j.Count, j.Threshold, j.Distinct)
		}
		j.say(verdictThreshold, "not a member: %s began within %s", began, j.Window)
	}
	if other := c.outageOf(id); other != nil {
		j.Outage = other.Name
		j.Sentence += fmt.Sprintf("; outage %s of others began at %s", other.Name, clock(since(other.Status.StartedAt)))
	}
}

// outageOf is the outage of a group that fires, nil for none.
func (c *court) outageOf(group string) *v1alpha1.Incident {
	for n := range c.all {
		i := &c.all[n]
		if i.Labels[v1alpha1.LabelGroup] == group && i.Status.State == v1alpha1.StateFiring {
			return i
		}
	}
	return nil
}

func (j *judged) say(verdict, format string, args ...any) {
	j.Verdict = verdict
	j.Sentence = strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}

// share are the shared labels behind some words, nothing without any.
func (j *judged) share(words string) string { return before(words+" ", pairs(j.Shared)) }

// with names the other incidents and what they share.
func (j *judged) with() string {
	others := count(max(0, j.Incidents-1), "other incident")
	return cmp.Or(j.share("shares"), "is joined") + " with " + others
}

// facts are the count and the cause.
func (j *judged) facts() string {
	return fmt.Sprintf("(%s within %s, threshold %d)%s", j.counted(), j.Window, j.Threshold, before(", cause ", j.Cause))
}

// counted is the count with what it counts.
func (j *judged) counted() string {
	if j.Distinct == "" {
		return count(j.Count, "incident")
	}
	return counted(j.Count, "value", "values") + " of " + j.Distinct
}

// has says what an incident has for the label of a matcher.
func has(values map[string]string, m *labels.Matcher) string {
	if v := values[m.Name]; v != "" {
		return fmt.Sprintf("it has %q", v)
	}
	return "it has no label " + m.Name
}

func matchers(all labels.Matchers) string {
	var out []string
	for _, m := range all {
		out = append(out, m.String())
	}
	return strings.Join(out, ", ")
}
