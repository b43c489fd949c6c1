package replay

import (
	"maps"
	"slices"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/alertmanager"
)

// Prometheus sends again every minute what fires, and for 15 minutes what has resolved.
const (
	resendDelay = time.Minute
	resolvedFor = 15 * time.Minute
)

// wouldSend returns what Alertmanager would have sent about the alerts of a recording from its first document on, and
// until one group_interval after its last, when every change was reported.
func wouldSend(ordered []Notification, route alertmanager.Route) []alertmanager.Notification {
	m := alertmanager.New(route)
	sent := sentBy(ordered)
	for len(sent) > 0 {
		var together []alertmanager.Alert
		at := sent[0].at
		for ; len(sent) > 0 && sent[0].at.Equal(at); sent = sent[1:] {
			together = append(together, sent[0].alert)
		}
		m.Receive(at, together...)
	}
	m.Advance(ordered[len(ordered)-1].At.Add(route.GroupInterval))
	return slices.DeleteFunc(m.Notified, func(n alertmanager.Notification) bool { return n.At.Before(ordered[0].At) })
}

// sending is an alert that Prometheus sends.
type sending struct {
	at    time.Time
	alert alertmanager.Alert
}

// sentBy returns what Prometheus sent about the alerts of a recording, in the order of time. What fires is sent once,
// and is active until it is sent as resolved.
func sentBy(ordered []Notification) []sending {
	first, last := ordered[0].At, ordered[len(ordered)-1].At
	byAlert := firingsOf(ordered)
	var out []sending
	for _, fingerprint := range slices.Sorted(maps.Keys(byAlert)) {
		firings := byAlert[fingerprint]
		for n, f := range firings {
			a := alertmanager.Alert{Labels: f.labels, StartsAt: f.startsAt, EndsAt: last.Add(forever)}
			f.from = latest(f.from, first.Add(-forever))
			out = append(out, sending{f.from, a})
			if f.to.IsZero() {
				continue
			}
			f.to = latest(f.to, f.from)
			a.EndsAt = f.to
			for at := f.to; at.Before(f.to.Add(resolvedFor)); at = at.Add(resendDelay) {
				if n+1 < len(firings) && !at.Before(firings[n+1].from) && at.After(f.to) {
					break
				}
				out = append(out, sending{at, a})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b sending) int { return a.at.Compare(b.at) })
	return out
}

// fired is one firing of an alert: when Alertmanager received it and its end. to is zero when the recording does not
// have the end.
type fired struct {
	labels             map[string]string
	startsAt, from, to time.Time
}

// firingsOf returns the firings of each alert, by its fingerprint. Alertmanager had received the alerts of a
// notification before: when they started, and when they ended. It would have received those of another document at the
// time of the document.
func firingsOf(ordered []Notification) map[string][]fired {
	out := map[string][]fired{}
	for _, n := range ordered {
		for _, a := range n.Batch.Alerts {
			f := fired{labels: a.Labels, startsAt: a.StartsAt, from: n.At, to: n.At}
			if n.Batch.GroupKey != "" {
				f.from = a.StartsAt
				if !a.EndsAt.IsZero() {
					f.to = a.EndsAt
				}
			}
			known := out[a.Fingerprint]
			var last fired
			if len(known) > 0 {
				last = known[len(known)-1]
			}
			open := len(known) > 0 && last.to.IsZero()
			switch repeated := f.from.Before(last.to); {
			case a.Status == aggregator.Firing && !open:
				if repeated { // It fires again, with the start of the last time.
					f.from = n.At
				}
				f.to = time.Time{}
				out[a.Fingerprint] = append(known, f)
			case a.Status == aggregator.Resolved && open:
				known[len(known)-1].to = f.to
			case a.Status == aggregator.Resolved && !repeated:
				out[a.Fingerprint] = append(known, f)
			}
		}
	}
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
