// Package alertmanager is a model of Alertmanager on virtual time: which notifications it sends about the alerts that
// it receives.
//
//	Alertmanager   groups alerts (group_wait, group_interval) and drops what changes nothing (repeat_interval)
//	Log            the last notification of each group, and the reason for the next one
//
// It follows the code of version 0.34, which test/alertmanager runs: the dispatcher, the notification log with
// send_resolved, and the merging of alerts that overlap. It has one route and one receiver, every notification arrives,
// and nothing is inhibited or silenced.
package alertmanager

import (
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// Route is how Alertmanager groups and repeats.
type Route struct {
	GroupBy                                  []string
	GroupWait, GroupInterval, RepeatInterval time.Duration
}

// allLabels in GroupBy groups by all labels: each alert is a group.
const allLabels = "..."

// Shipped is the default route of kube-prometheus and kube-prometheus-stack.
var Shipped = Route{
	GroupBy: []string{"namespace"}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute,
	RepeatInterval: 12 * time.Hour,
}

// Notification is what a receiver gets: all alerts of a group, in the order of their start.
type Notification struct {
	At     time.Time
	Reason Reason
	// GroupKey is as in the webhook, GroupLabels are the labels in it.
	GroupKey    string
	GroupLabels map[string]string
	Alerts      []Alert
}

// Alertmanager groups alerts. Notified has its notifications in the order of time.
type Alertmanager struct {
	Notified []Notification

	route  Route
	now    time.Time
	alerts map[model.Fingerprint]Alert
	groups map[string]*group
	due    queue
	log    Log
}

// New returns an Alertmanager without alerts.
func New(route Route) *Alertmanager {
	return &Alertmanager{
		route: route, alerts: map[model.Fingerprint]Alert{}, groups: map[string]*group{}, log: Log{},
	}
}

// Receive takes alerts at a time, which never goes back.
func (m *Alertmanager) Receive(at time.Time, alerts ...Alert) {
	m.Advance(at)
	for _, a := range alerts {
		id := a.fingerprint()
		if old, known := m.alerts[id]; known && overlap(a, old) {
			a = merge(old, a, at)
		}
		m.alerts[id] = a
		key, labels := m.groupOf(a)
		g := m.groups[key]
		if g == nil {
			g = &group{key: key, labels: labels, flush: at.Add(m.route.GroupWait), alerts: map[model.Fingerprint]Alert{}}
			if a.StartsAt.Add(m.route.GroupWait).Before(at) {
				g.flush = at
			}
			m.groups[key] = g
			heap.Push(&m.due, g)
		}
		g.alerts[id] = a
	}
	m.Advance(at)
}

// Advance moves the clock, and flushes the groups that are due until then.
func (m *Alertmanager) Advance(to time.Time) {
	for len(m.due) > 0 && !m.due[0].flush.After(to) {
		g := heap.Pop(&m.due).(*group)
		m.now = g.flush
		m.flush(g)
		if len(g.alerts) == 0 {
			delete(m.groups, g.key)
			continue
		}
		g.flush = m.now.Add(m.route.GroupInterval)
		heap.Push(&m.due, g)
	}
	m.now = to
}

// groupOf returns the key of an alert's group as the webhook has it, and the labels.
func (m *Alertmanager) groupOf(a Alert) (string, map[string]string) {
	labels := map[string]string{}
	set := model.LabelSet{}
	names := m.route.GroupBy
	if slices.Contains(names, allLabels) {
		names = slices.Collect(maps.Keys(a.Labels))
	}
	for _, name := range names {
		if value, has := a.Labels[name]; has {
			labels[name], set[model.LabelName(name)] = value, model.LabelValue(value)
		}
	}
	return "{}:" + set.String(), labels
}

// flush notifies if there is a reason, and drops the alerts that are resolved.
func (m *Alertmanager) flush(g *group) {
	firing, resolved := Set{}, Set{}
	for id, a := range g.alerts {
		if a.Resolved(m.now) {
			resolved[id] = true
		} else {
			firing[id] = true
		}
	}
	if reason := m.log.reason(g.key, firing, resolved); m.sends(g.key, reason) {
		m.log.Add(g.key, m.now, firing, resolved)
		m.Notified = append(m.Notified, Notification{m.now, reason, g.key, g.labels, g.sorted()})
	}
	maps.DeleteFunc(g.alerts, func(_ model.Fingerprint, a Alert) bool { return a.Resolved(m.now) })
}

// sends reports whether a flush sends a notification.
func (m *Alertmanager) sends(key string, reason Reason) bool {
	last := m.log[key]
	switch reason {
	case AllResolved: // Nobody was notified of what resolved meanwhile.
		return len(last.firing) > 0
	case Repeat:
		return last.at.Before(m.now.Add(-m.route.RepeatInterval))
	}
	return true
}
