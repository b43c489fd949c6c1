package alertmanager

import (
	"time"

	"github.com/prometheus/common/model"
)

// Reason is why Alertmanager notifies, in the words of the webhook's notification_reason.
type Reason string

// The reasons. A notification has the first one that holds, except that AllResolved comes before the others.
const (
	FirstNotification Reason = "first notification"
	NewAlerts         Reason = "new alerts added"
	AllResolved       Reason = "all alerts resolved"
	SomeResolved      Reason = "some alerts resolved"
	Repeat            Reason = "repeat interval elapsed"
)

// Set has the fingerprints of alerts.
type Set map[model.Fingerprint]bool

// Log has the last notification of each group, by the key of the group.
type Log map[string]entry

type entry struct {
	at               time.Time
	firing, resolved Set
}

// Add adds a notification with its firing and its resolved alerts, and returns its reason.
func (l Log) Add(group string, at time.Time, firing, resolved Set) Reason {
	reason := l.reason(group, firing, resolved)
	l[group] = entry{at, firing, resolved}
	return reason
}

// reason is why a group would be notified of after its last notification. Repeat means that nothing changed.
func (l Log) reason(group string, firing, resolved Set) Reason {
	last := l[group]
	switch {
	case len(firing) == 0:
		return AllResolved
	case len(last.firing) == 0:
		return FirstNotification
	case !subset(firing, last.firing):
		return NewAlerts
	case !subset(resolved, last.resolved):
		return SomeResolved
	}
	return Repeat
}

func subset(of, set Set) bool {
	for id := range of {
		if !set[id] {
			return false
		}
	}
	return true
}
