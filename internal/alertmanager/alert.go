package alertmanager

import (
	"time"

	"github.com/prometheus/common/model"
)

// Alert is what Alertmanager receives for one label set. It is resolved once EndsAt is not in the future.
type Alert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
}

// Fingerprint is the one that Alertmanager computes from labels: 16 hex digits.
func Fingerprint(labels map[string]string) string {
	return Alert{Labels: labels}.fingerprint().String()
}

func (a Alert) fingerprint() model.Fingerprint {
	set := model.LabelSet{}
	for name, value := range a.Labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.Fingerprint()
}

// Resolved reports whether the alert has ended at a time.
func (a Alert) Resolved(at time.Time) bool { return !a.EndsAt.After(at) }

// overlap reports whether two alerts of one label set were active at the same time.
func overlap(a, old Alert) bool {
	return a.EndsAt.After(old.StartsAt) && a.EndsAt.Before(old.EndsAt) ||
		a.StartsAt.After(old.StartsAt) && a.StartsAt.Before(old.EndsAt)
}

// merge makes one alert of two that overlap: the earliest start, and the latest end. A known end replaces a timeout.
func merge(old, a Alert, now time.Time) Alert {
	if old.StartsAt.Before(a.StartsAt) {
		a.StartsAt = old.StartsAt
	}
	if old.EndsAt.After(a.EndsAt) && (!a.Resolved(now) || old.Resolved(now)) {
		a.EndsAt = old.EndsAt
	}
	return a
}
