package subject

import (
	"maps"
	"slices"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// Rule says what the alerts of one exporter are about.
type Rule struct {
	// Matchers are what an alert's own labels must all fulfil.
	Matchers labels.Matchers
	// Kind is the subject's, and Name and Namespace are the labels that hold its name and namespace. An alert that lacks
	// the former is not the rule's. Without a Namespace the subject lives in none. Without a Kind the built-in rules read
	// the labels that are not about the target.
	Kind, Name, Namespace string
	// Target are the labels about the scrape target.
	Target []string
}

// Rules are tried in order, in front of the built-in ones. None are the built-in ones alone.
type Rules []Rule

// Read says what an alert is about. It keeps the labels, which must not change afterwards.
func (rs Rules) Read(labels map[string]string) Reading {
	for i := range rs {
		if rule := &rs[i]; rule.takes(labels) {
			return rule.read(labels)
		}
	}
	return read(labels)
}

func (r *Rule) takes(labels map[string]string) bool {
	for _, m := range r.Matchers {
		if !m.Matches(labels[m.Name]) {
			return false
		}
	}
	return r.Kind == "" || labels[r.Name] != ""
}

func (r *Rule) read(labels map[string]string) Reading {
	own := labels
	if len(r.Target) > 0 {
		own = maps.Clone(labels)
		for _, name := range r.Target {
			delete(own, name)
		}
	}
	out := read(own)
	if r.Kind != "" {
		out = Reading{
			Subject: Resource{Kind: r.Kind, Namespace: labels[r.Namespace], Name: labels[r.Name]},
			Node:    own[LabelNode],
			Target:  replicas(labels),
		}
		out.finish(own)
	}
	for _, name := range r.Target {
		if _, there := labels[name]; there && !slices.Contains(out.Target, name) {
			out.Target = append(out.Target, name)
		}
	}
	out.labels = labels
	return out
}
