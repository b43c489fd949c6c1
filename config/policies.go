package config

import (
	_ "embed"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/stormfold/stormfold/internal/subject"
)

// The values of Policy.OnRedisFailure: what becomes of a firing alert that cannot be folded because Redis fails.
const (
	// OnRedisFailureRetry leaves it to the next delivery of its event.
	OnRedisFailureRetry = "retry"
	// OnRedisFailurePassthrough writes an incident for it at once, and leaves the rest to the next delivery.
	OnRedisFailurePassthrough = "passthrough"
)

// Policies are what a policies file says. They are not changed once they are made, so that they may be shared.
type Policies struct {
	// List is the policies in order, of which the last one takes every alert.
	List []Policy
	// Outages are the outage policies in order: an incident is part of the first whose outage it belongs to.
	Outages []Outage
	// Subjects say what alerts are about, in front of the built-in rules.
	Subjects subject.Rules
}

// Policy says which alerts are folded, by which labels, and with which thresholds, windows and limits. The table in
// policy_fields.go holds the defaults and bounds.
type Policy struct {
	// Name is a DNS label, unique among the policies. It is part of the identity of the groups.
	Name string
	// Route is a hash of everything that decides whether an alert goes to this policy and to which group. Empty for a
	// policy that does not come from a file.
	Route string
	// Matchers are what an alert's labels must all fulfil. A label that the alert lacks is the empty string, as in
	// Alertmanager.
	Matchers labels.Matchers
	// Drop is true if its alerts are accepted and make no incidents.
	Drop bool
	// GroupBy are the labels whose values make a group. Without any the policy has one group.
	GroupBy []string
	// Threshold is how many alerts must newly fire within Window to make a storm. With 1 every incident is a storm.
	Threshold int
	Window    time.Duration
	// Quiet ends an incident without notifications for that long, MaxDuration one of that age.
	Quiet, MaxDuration time.Duration
	// Cooldown is how long after its resolution an incident is reopened rather than followed by a new one.
	Cooldown time.Duration
	// Retention is how long a resolved incident stays in Kubernetes.
	Retention time.Duration
	// Hold delays a group's first write to Kubernetes.
	Hold time.Duration
	// Flush bounds how often a group is written to Kubernetes.
	Flush Flush
	// MaxAlerts is how many alerts of a group are tracked, MaxListed how many resources an incident lists, MaxGroups how
	// many groups the policy has in a shard of Redis.
	MaxAlerts, MaxListed, MaxGroups int
	// OnRedisFailure is OnRedisFailureRetry or OnRedisFailurePassthrough.
	OnRedisFailure string
	// Breakdown are the labels over which hotspots are counted.
	Breakdown []string
	// Severities are those of the file, for all of its policies.
	Severities Severities
}

// Flush is the interval between writes of a group: it starts at Min, doubles up to Max while changes keep coming, and
// falls back when they stop.
type Flush struct{ Min, Max time.Duration }

// Match is the first policy whose matchers an alert fulfils, with its own labels and the derived ones. It is never nil:
// the last policy has no matchers, and an empty list is taken for the built-in policies.
func (p Policies) Match(alert *subject.Reading) *Policy {
	if len(p.List) == 0 {
		p = shipped()
	}
	for i := range p.List {
		if p.List[i].Failing(alert) == nil {
			return &p.List[i]
		}
	}
	return p.last()
}

// Failing is the first matcher that an alert does not fulfil, and nil when it fulfils all.
func (p *Policy) Failing(alert *subject.Reading) *labels.Matcher {
	for _, m := range p.Matchers {
		if !m.Matches(alert.Value(m.Name)) {
			return m
		}
	}
	return nil
}

// Default is the built-in policies: those of policies.yaml.
func Default() Policies {
	p := shipped()
	p.List, p.Outages = slices.Clone(p.List), slices.Clone(p.Outages)
	for i := range p.List {
		p.List[i].GroupBy, p.List[i].Breakdown = slices.Clone(p.List[i].GroupBy), slices.Clone(p.List[i].Breakdown)
	}
	p.Outages = slices.Clone(p.Outages)
	for i := range p.Outages {
		p.Outages[i].GroupBy = slices.Clone(p.Outages[i].GroupBy)
	}
	return p
}

//go:embed policies.yaml
var shippedFile []byte

// shipped reads the built-in policies, once.
var shipped = sync.OnceValue(func() Policies {
	p, err := parsePolicies(shippedFile)
	if err != nil {
		panic("policies.yaml: " + err.Error()) // Every test that makes a policy sees it.
	}
	return p
})

// defaults is a policy whose fields all have their defaults, without a name. Its slices are its own.
func defaults() Policy {
	p := builtIn()
	p.GroupBy, p.Breakdown = slices.Clone(p.GroupBy), slices.Clone(p.Breakdown)
	return p
}

// builtIn reads the defaults from the table of fields, once.
var builtIn = sync.OnceValue(func() Policy {
	var p Policy
	setDefaults(&p, PolicyFields())
	return p
})

// setDefaults sets the fields that have a default in the table.
func setDefaults[T any](of *T, fields []FieldOf[T]) {
	for _, field := range fields {
		if field.Default == "" {
			continue
		}
		if err := field.set(of, mustJSON(field.Default)); err != nil {
			panic(field.Key + ": " + err.Error()) // The table contradicts itself; every test that makes a policy fails.
		}
	}
}

// Named is the policy of that name, or the last one when there is none (any more): what belonged to it goes on under
// the policy that takes every alert.
func (p Policies) Named(name string) *Policy {
	for i := range p.List {
		if p.List[i].Name == name {
			return &p.List[i]
		}
	}
	return p.last()
}

// last is the policy that takes every alert.
func (p Policies) last() *Policy {
	if len(p.List) == 0 {
		p = shipped()
	}
	return &p.List[len(p.List)-1]
}
