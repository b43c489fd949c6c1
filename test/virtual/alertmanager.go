// Package virtual has Prometheus' and Alertmanager's sides of a notification on virtual time, for tests and
// recordings that last for hours.
//
//	Prometheus     sends what fires every minute, and for 15 minutes what has ended
//	Alertmanager   groups alerts, and says when a group is notified of and what the webhook gets
//
// Alertmanager is a model of the one of version 0.34: its dispatcher (group_wait, group_interval), its deduplication
// by the notification log (repeat_interval, send_resolved) and its merging of alerts that overlap. It has one route
// and one receiver, every notification arrives, and nothing is inhibited or silenced.
package virtual

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Route is how an Alertmanager groups and repeats.
type Route struct {
	GroupBy                                  []string
	GroupWait, GroupInterval, RepeatInterval time.Duration
}

// Alert is what Alertmanager receives for one label set. It is over once EndsAt is not in the future.
type Alert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time

	updatedAt time.Time
}

func (a Alert) fingerprint() model.Fingerprint {
	set := model.LabelSet{}
	for name, value := range a.Labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.Fingerprint()
}

// Fingerprint is the one that Alertmanager makes of labels: 16 hex digits.
func Fingerprint(labels map[string]string) string {
	return Alert{Labels: labels}.fingerprint().String()
}

func (a Alert) over(now time.Time) bool { return !a.EndsAt.After(now) }

// Notification is one call of the webhook.
type Notification struct {
	At   time.Time       `json:"time"`
	Data json.RawMessage `json:"data"`
}

// Alertmanager groups alerts on virtual time. Notified collects its notifications.
type Alertmanager struct {
	Notified []Notification

	route  Route
	now    time.Time
	alerts map[model.Fingerprint]Alert
	groups map[string]*group
	log    map[string]entry
}

// group is what the dispatcher holds until all of it is over and notified of.
type group struct {
	labels map[string]string
	flush  time.Time
	alerts map[model.Fingerprint]Alert
}

// entry is what the last notification of a group said.
type entry struct {
	at               time.Time
	firing, resolved map[model.Fingerprint]bool
}

// NewAlertmanager is one without alerts.
func NewAlertmanager(route Route) *Alertmanager {
	return &Alertmanager{
		route: route, alerts: map[model.Fingerprint]Alert{}, groups: map[string]*group{}, log: map[string]entry{},
	}
}

// Receive takes alerts at a time, which never goes back.
func (m *Alertmanager) Receive(at time.Time, alerts ...Alert) {
	m.Advance(at)
	for _, a := range alerts {
		a.updatedAt = at
		id := a.fingerprint()
		if old, known := m.alerts[id]; known && overlap(a, old) {
			a = merge(old, a, at)
		}
		m.alerts[id] = a
		key, labels := m.groupOf(a)
		g := m.groups[key]
		if g == nil {
			g = &group{labels: labels, flush: at.Add(m.route.GroupWait), alerts: map[model.Fingerprint]Alert{}}
			m.groups[key] = g
			if a.StartsAt.Add(m.route.GroupWait).Before(at) {
				g.flush = at
			}
		}
		g.alerts[id] = a
	}
	m.Advance(at)
}

// Advance moves the clock, and flushes the groups whose time comes until then.
func (m *Alertmanager) Advance(to time.Time) {
	for {
		key := ""
		for k, g := range m.groups {
			if !g.flush.After(to) && (key == "" || cmp.Or(g.flush.Compare(m.groups[key].flush), cmp.Compare(k, key)) < 0) {
				key = k
			}
		}
		if key == "" {
			m.now = to
			return
		}
		m.now = m.groups[key].flush
		m.flush(key, m.groups[key])
	}
}

// overlap tells whether two alerts of one label set were active at the same time.
func overlap(a, old Alert) bool {
	return a.EndsAt.After(old.StartsAt) && a.EndsAt.Before(old.EndsAt) ||
		a.StartsAt.After(old.StartsAt) && a.StartsAt.Before(old.EndsAt)
}

// merge makes one alert of two that overlap: the earliest start, and the latest end of those that are ends.
func merge(old, a Alert, now time.Time) Alert {
	if old.StartsAt.Before(a.StartsAt) {
		a.StartsAt = old.StartsAt
	}
	if old.EndsAt.After(a.EndsAt) && (!a.over(now) || old.over(now)) {
		a.EndsAt = old.EndsAt
	}
	return a
}

// groupOf is the key of an alert's group as the webhook has it, and the labels.
func (m *Alertmanager) groupOf(a Alert) (string, map[string]string) {
	labels := map[string]string{}
	set := model.LabelSet{}
	for _, name := range m.route.GroupBy {
		if value, has := a.Labels[name]; has {
			labels[name], set[model.LabelName(name)] = value, model.LabelValue(value)
		}
	}
	return "{}:" + set.String(), labels
}

// flush notifies of a group when there is something new, and forgets what is over.
func (m *Alertmanager) flush(key string, g *group) {
	g.flush = m.now.Add(m.route.GroupInterval)
	firing, resolved := map[model.Fingerprint]bool{}, map[model.Fingerprint]bool{}
	for id, a := range g.alerts {
		if a.over(m.now) {
			resolved[id] = true
		} else {
			firing[id] = true
		}
	}
	last, logged := m.log[key]
	if m.due(last, logged, firing, resolved) {
		m.log[key] = entry{m.now, firing, resolved}
		m.Notified = append(m.Notified, Notification{m.now, m.document(key, g, len(firing) > 0)})
	}
	for id := range resolved {
		delete(g.alerts, id)
	}
	if len(g.alerts) == 0 {
		delete(m.groups, key)
	}
}

// due tells whether a flush is a notification.
func (m *Alertmanager) due(last entry, logged bool, firing, resolved map[model.Fingerprint]bool) bool {
	switch {
	case !logged:
		return len(firing) > 0
	case !subset(firing, last.firing):
		return true
	case len(firing) == 0:
		return len(last.firing) > 0
	case !subset(resolved, last.resolved):
		return true
	default:
		return last.at.Before(m.now.Add(-m.route.RepeatInterval))
	}
}

func subset(of, set map[model.Fingerprint]bool) bool {
	for id := range of {
		if !set[id] {
			return false
		}
	}
	return true
}

// document is what the webhook gets.
func (m *Alertmanager) document(key string, g *group, fires bool) json.RawMessage {
	alerts := slices.SortedFunc(maps.Values(g.alerts), func(a, b Alert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), strings.Compare(Fingerprint(a.Labels), Fingerprint(b.Labels)))
	})
	listed := make([]map[string]any, len(alerts))
	var common map[string]string
	for n, a := range alerts {
		ends := a.EndsAt
		if !a.over(m.now) {
			ends = time.Time{}
		}
		listed[n] = map[string]any{
			"status": status(!a.over(m.now)), "labels": a.Labels, "annotations": a.Annotations,
			"startsAt": a.StartsAt, "endsAt": ends, "generatorURL": "", "fingerprint": Fingerprint(a.Labels),
		}
		if n == 0 {
			common = maps.Clone(a.Labels)
		}
		maps.DeleteFunc(common, func(name, value string) bool { return a.Labels[name] != value })
	}
	data, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": key, "truncatedAlerts": 0, "status": status(fires),
		"receiver": "stormfold", "externalURL": "http://alertmanager:9093", "groupLabels": g.labels,
		"commonLabels": common, "commonAnnotations": map[string]string{}, "alerts": listed,
	})
	if err != nil {
		panic(err) // Maps of strings and times are JSON.
	}
	return data
}

func status(firing bool) string {
	if firing {
		return "firing"
	}
	return "resolved"
}
