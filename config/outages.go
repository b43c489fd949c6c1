package config

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// Outage is an outage policy: which incidents are folded into one outage. The table in outage_fields.go holds the
// defaults and bounds.
type Outage struct {
	// Name is a DNS label, unique among the outage policies. It is part of the identity of the groups.
	Name string
	// Rank is its place in the list, from 0.
	Rank int
	// Matchers must all match the labels of an incident.
	Matchers labels.Matchers
	// GroupBy are the labels that the incidents of an outage share. An incident without one of them, except cluster, is
	// not part of an outage of the policy.
	GroupBy []string
	// Threshold is the number of incidents that began within Window to make an outage; with Distinct, the number of
	// values of that label; with Distinct and Cause, the number of values among the causes.
	Threshold int
	Distinct  string
	Window    time.Duration
	// Cause are the matchers of the members that explain the others: a member is a cause if all of them match one of its
	// alerts, or the incident itself. With Cause there is an outage only while a cause is among its members.
	Cause labels.Matchers
	// Cooldown is how long after its end an outage is reopened. Retention is how long an ended one stays.
	Cooldown, Retention time.Duration
	// Hold delays the first write, Flush limits how often an outage is written.
	Hold  time.Duration
	Flush Flush
	// MaxIncidents is the maximum number of incidents tracked in a group, MaxListed of those that an outage lists.
	MaxIncidents, MaxListed int
}

// Matches reports whether an incident with these labels may be part of an outage of the policy.
func (o *Outage) Matches(values map[string]string) bool {
	return o.Lacking(values) == "" && o.Failing(values) == nil
}

// FirstPrefix and the name of a label begin the label that an incident has where its alerts differ: the value of those
// that began first.
const FirstPrefix = "first:"

// TakesFirst tells whether an incident whose alerts differ in a label of groupBy is part of the outage of where it
// began. A policy that asks for several causes is sure enough of its outages for that.
func (o *Outage) TakesFirst() bool { return o.Distinct != "" && len(o.Cause) > 0 }

// Value is a label of an incident as the policy sees it, empty for none.
func (o *Outage) Value(values map[string]string, name string) string {
	if value := values[name]; value != "" || !o.TakesFirst() {
		return value
	}
	return values[FirstPrefix+name]
}

// Lacking is the first label of groupBy that an incident with these labels would need, empty for none.
func (o *Outage) Lacking(values map[string]string) string {
	for _, name := range o.GroupBy {
		if o.Value(values, name) == "" && name != "cluster" {
			return name
		}
	}
	return ""
}

// Failing is the first matcher that an incident with these labels does not fulfil, nil when it fulfils all.
func (o *Outage) Failing(values map[string]string) *labels.Matcher {
	return failing(o.Matchers, func(name string) string { return o.Value(values, name) })
}

// Causes reports whether an alert or incident with these labels is a cause for the policy.
func (o *Outage) Causes(value func(name string) string) bool {
	return len(o.Cause) > 0 && failing(o.Cause, value) == nil
}

func failing(matchers labels.Matchers, value func(name string) string) *labels.Matcher {
	for _, m := range matchers {
		if !m.Matches(value(m.Name)) {
			return m
		}
	}
	return nil
}

// OutageLabels are the names of the labels by which the outage policies match, group and count, sorted. Of an alert's
// labels the fold keeps only these for them. Whether an alert is a cause is decided when it is folded.
func (p Policies) OutageLabels() []string {
	names := map[string]bool{}
	for i := range p.Outages {
		o := &p.Outages[i]
		for _, name := range o.GroupBy {
			names[name] = true
		}
		for _, m := range o.Matchers {
			names[m.Name] = true
		}
		if o.Distinct != "" {
			names[o.Distinct] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
