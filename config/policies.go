package config

import (
	_ "embed"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/stormfold/stormfold/internal/subject"
)

// The values of Policy.OnRedisFailure: what happens to a firing alert that cannot be folded because Redis fails.
const (
	// OnRedisFailureRetry waits for the next delivery of its event.
	OnRedisFailureRetry = "retry"
	// OnRedisFailurePassthrough writes an incident for it at once, and also waits for the next delivery.
	OnRedisFailurePassthrough = "passthrough"
)

// Policies are the content of a policies file. They are immutable, so they may be shared.
type Policies struct {
	// List is the policies in order. The last one takes every alert.
	List []Policy
	// Outages are the outage policies in order: an incident is part of the first whose outage it belongs to.
	Outages []Outage
	// Subjects are rules about subjects, tried before the built-in ones.
	Subjects subject.Rules
}

// Policy defines which alerts are folded, by which labels, and with which threshold, window and limits. The table in
// policy_fields.go has the defaults and bounds.
type Policy struct {
	// Name is a DNS label, unique among the policies. It is part of the identity of the groups.
	Name string
	// Route is a hash of everything that decides whether an alert goes to this policy and to which group. Empty for a
	// policy that does not come from a file.
	Route string
	// Matchers must all match the labels of an alert. A label that the alert lacks is the empty string, as in
	// Alertmanager.
	Matchers labels.Matchers
	// Drop is true if its alerts are accepted and make no incidents.
	Drop bool
	// GroupBy are the labels whose values make a group. Without any the policy has one group.
	GroupBy []string
	// Threshold is the number of alerts, firing now or newly fired within Window, that make a storm. With 1 a group has
	// one incident from its first alert on.
	Threshold int
	Window    time.Duration
	// Quiet ends an incident after that time without notifications, MaxDuration at that age.
	Quiet, MaxDuration time.Duration
	// Cooldown is how long after its resolution an incident is reopened instead of opening a new one.
	Cooldown time.Duration
	// Retention is how long a resolved incident stays in Kubernetes.
	Retention time.Duration
	// Hold delays a group's first write to Kubernetes.
	Hold time.Duration
	// Flush limits how often a group is written to Kubernetes.
	Flush Flush
	// MaxAlerts is the maximum number of alerts tracked in a group, MaxListed of resources listed in an incident,
	// MaxGroups of the policy's groups in a shard of Redis.
	MaxAlerts, MaxListed, MaxGroups int
	// OnRedisFailure is OnRedisFailureRetry or OnRedisFailurePassthrough.
	OnRedisFailure string
	// Breakdown are the labels over which hotspots are counted.
	Breakdown []string
	// Severities are those of the file, for all of its policies.
	Severities Severities
}

// Flush is the interval between writes of a group: it starts at Min, doubles up to Max while changes continue, and is
// reset after a pause.
type Flush struct{ Min, Max time.Duration }

// Match is the first policy whose matchers all match the labels of an alert, including the derived ones. It is never
// nil: the last policy has no matchers, and an empty list means the built-in policies.
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

// Failing is the first matcher that does not match an alert, nil if all match.
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

// Named is the policy of that name, or the last one if there is none: groups of a removed policy continue under the
// policy that takes every alert.
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
