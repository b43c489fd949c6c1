package aggregator

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/subject"
)

// The labels that an incident has for outages beside those of its alerts.
const (
	labelPolicy   = "policy"
	labelType     = "type"
	labelOutage   = "outage"
	labelKind     = "subject_kind"
	labelSeverity = "severity"
	// causePrefix and the name of an outage policy say that one of the alerts is a cause for it.
	causePrefix = "cause:"
)

// info is the severity of alerts that are no symptoms: they count for an incident's labels and start only where it has
// no others.
const info = "info"

// traitMark begins what a record keeps of an alert for outages: a label, or the mark of a cause.
const traitMark = "@"

// traitsOf are the labels of an alert that outages use and that its severity and resource do not tell, as name=value.
func traitsOf(alert Alert, outages []config.Outage, names []string) []string {
	r := alert.reading()
	value := func(name string) string {
		if v := alert.Lookups[name]; v != "" {
			return v
		}
		return r.Value(name)
	}
	var out []string
	for _, name := range names {
		if v := value(name); v != "" && !isDerived(name) {
			out = append(out, clip(name+"="+v, maxName))
		}
	}
	for i := range outages {
		if outages[i].Causes(value) {
			out = append(out, causePrefix+outages[i].Name+"=true")
		}
	}
	return out
}

// isDerived tells whether an incident has the label by what else is known of it.
func isDerived(name string) bool {
	switch name {
	case subject.LabelNamespace, labelSeverity, labelKind, labelPolicy, labelType, labelOutage:
		return true
	}
	return false
}

// foundTraits are the traits of the alert of an incident that Kubernetes shows with these labels.
func foundTraits(labels map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if !isDerived(name) {
			out = append(out, name+"="+labels[name])
		}
	}
	return out
}

// isCause tells whether an incident with these labels explains others by the policy.
func isCause(p *config.Outage, labels map[string]string) bool {
	return labels[causePrefix+p.Name] != "" || p.Causes(func(name string) string { return labels[name] })
}

// joint collects the labels that all that have them agree on. It is a join, so neither order nor repetition matters.
type joint map[string]*joined

// joined is a label: the value of all, and that of those that began first; each is empty where they differ.
type joined struct {
	all, first string
	start      time.Time
}

func (j joint) add(name, value string, start time.Time) {
	if value == "" {
		return
	}
	known := j[name]
	if known == nil {
		j[name] = &joined{value, value, start}
		return
	}
	if value != known.all {
		known.all = ""
	}
	switch {
	case start.Before(known.start):
		known.first, known.start = value, start
	case start.Equal(known.start) && value != known.first:
		known.first = ""
	}
}

// labels are those that all agree on, and, of the given ones, what those that began first agree on.
func (j joint) labels(firsts []string) map[string]string {
	out := map[string]string{}
	for name, l := range j {
		switch {
		case l.all != "":
			out[name] = l.all
		case l.first != "" && slices.Contains(firsts, name):
			out[config.FirstPrefix+name] = l.first
		}
	}
	return out
}

// firstsOf are the labels by which policies that take an incident where it began group.
func firstsOf(outages []config.Outage) []string {
	var out []string
	for i := range outages {
		if outages[i].TakesFirst() {
			out = append(out, outages[i].GroupBy...)
		}
	}
	return out
}

// symptoms are the members that count for an incident's labels and start: those that are more than info, or all.
func symptoms(members []Member) []Member {
	out := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Severity == info })
	if len(out) == 0 {
		return members
	}
	return out
}

// incidentLabels are the labels of an incident for outages. What was known of it before counts while it has members of
// which only the fingerprint is known.
func incidentLabels(
	policy string, o *Object, group, known map[string]string, firsts []string, rank func(string) int,
) map[string]string {
	j := joint{}
	partly := len(o.Members) == 0
	for _, m := range symptoms(o.Members) {
		partly = partly || m.Resource.Kind == ""
		j.add(subject.LabelNamespace, m.Resource.InNamespace(), m.StartsAt)
		j.add(labelKind, m.Resource.Kind, m.StartsAt)
		for _, t := range m.Traits {
			j.add(t.Name, t.Value, m.StartsAt)
		}
	}
	labels := maps.Clone(group)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.DeleteFunc(labels, func(name, value string) bool { return value == "" || strings.HasPrefix(name, causePrefix) })
	maps.Copy(labels, j.labels(firsts))
	if partly {
		for name, value := range known {
			if labels[name] == "" && j[name] == nil {
				labels[name] = value
			}
		}
	}
	bound(labels)
	severity := ""
	for _, m := range o.Members {
		if severity == "" || rank(m.Severity) > rank(severity) {
			severity = m.Severity
		}
	}
	if severity != "" {
		labels[labelSeverity] = severity
	}
	labels[labelPolicy], labels[labelType] = policy, typeAlert
	if o.Storm && (o.Total+o.Beyond > 1 || !o.StormAt.IsZero()) {
		labels[labelType] = typeStorm
	}
	return labels
}

// outageLabels are those of an outage, for the outage policies after its own: its members are what its alerts would be.
func outageLabels(policy string, group map[string]string, parts []Part) map[string]string {
	j := joint{}
	for _, part := range parts {
		for name, value := range part.Labels {
			if !strings.HasPrefix(name, config.FirstPrefix) {
				j.add(name, value, part.StartsAt)
			}
		}
	}
	labels := j.labels(nil)
	maps.Copy(labels, group)
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	delete(labels, labelPolicy)
	bound(labels)
	labels[labelType], labels[labelOutage], labels[labelKind] = typeOutage, policy, typeOutage
	if group["node"] != "" {
		labels[labelKind] = "Node"
	}
	return labels
}

// maxLabels is how many labels an incident has for outages, beside those that every incident has. Their values have at
// most maxName bytes.
const maxLabels = 56

// bound cuts labels to what an incident may have. Those that come last by name go, so it is always the same ones.
func bound(labels map[string]string) {
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		if i >= maxLabels {
			delete(labels, name)
		} else {
			labels[name] = clip(labels[name], maxName)
		}
	}
}

// traitLabels reads what traitsOf writes.
func traitLabels(traits []string) []Label {
	var out []Label
	for _, t := range traits {
		if name, value, ok := strings.Cut(t, "="); ok {
			out = append(out, Label{name, value})
		}
	}
	return out
}

// labelNames remembers which labels the outage policies use.
type labelNames struct{ of atomic.Pointer[namesOf] }

type namesOf struct {
	outages *config.Outage
	names   []string
}

// outages are the outage policies in force and the labels that they use.
func (a *Aggregator) outages() ([]config.Outage, []string) {
	outages := a.outagePolicies()
	if len(outages) == 0 {
		return nil, nil
	}
	known := a.labelNames.of.Load()
	if known == nil || known.outages != &outages[0] {
		known = &namesOf{&outages[0], (config.Policies{Outages: outages}).OutageLabels()}
		a.labelNames.of.Store(known)
	}
	return outages, known.names
}
