package replay

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/alertmanager"
)

const (
	// Prometheus sends again every minute what fires, and for 15 minutes what has resolved.
	resendDelay = time.Minute
	resolvedFor = 15 * time.Minute
	// resolveTimeout is Alertmanager's resolve_timeout, after which an alert is over that is not sent again.
	resolveTimeout = 5 * time.Minute
)

// wouldSend returns what Alertmanager would have sent about the alerts of a recording, from its first document to one
// group_interval after the last change, when that was reported.
func wouldSend(ordered []Notification, route alertmanager.Route) []alertmanager.Notification {
	m := alertmanager.New(route)
	sent, last := sentBy(ordered)
	for len(sent) > 0 {
		var together []alertmanager.Alert
		at := sent[0].at
		for ; len(sent) > 0 && sent[0].at.Equal(at); sent = sent[1:] {
			together = append(together, sent[0].alert)
		}
		m.Receive(at, together...)
	}
	m.Advance(last.Add(route.GroupInterval))
	return slices.DeleteFunc(m.Notified, func(n alertmanager.Notification) bool { return n.At.Before(ordered[0].At) })
}

// sending is an alert that Prometheus sends.
type sending struct {
	at    time.Time
	alert alertmanager.Alert
}

// sentBy returns what Prometheus sent about the alerts of a recording, in the order of time, and the time of the last
// document or end. What fires is sent once, and is active until it is sent as resolved or times out.
func sentBy(ordered []Notification) (out []sending, last time.Time) {
	first, last := ordered[0].At, ordered[len(ordered)-1].At
	never := last.Add(forever)
	byAlert := firingsOf(ordered)
	for _, fingerprint := range slices.Sorted(maps.Keys(byAlert)) {
		firings := byAlert[fingerprint]
		for n, f := range firings {
			a := alertmanager.Alert{Labels: f.labels, StartsAt: f.startsAt, EndsAt: never}
			f.from = latest(f.from, first.Add(-forever))
			if f.to.IsZero() {
				a.EndsAt = cmp.Or(f.timeout, never)
				last = latest(last, f.timeout)
				out = append(out, sending{f.from, a})
				continue
			}
			out = append(out, sending{f.from, a})
			a.EndsAt = latest(f.to, f.from)
			for at := a.EndsAt; at.Before(a.EndsAt.Add(resolvedFor)); at = at.Add(resendDelay) {
				if n+1 < len(firings) && !at.Before(firings[n+1].from) && at.After(a.EndsAt) {
					break
				}
				out = append(out, sending{at, a})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b sending) int { return a.at.Compare(b.at) })
	return out, last
}

// fired is one firing of an alert: when Alertmanager received it and its end. to is zero when the recording does not
// have the end. Then it ended at the time out, if that is not zero.
type fired struct {
	labels                      map[string]string
	startsAt, from, to, timeout time.Time
}

// firingsOf returns the firings of each alert, by its fingerprint. Alertmanager had received the alerts of a
// notification before: when they started, and when they ended. An alert without an end fires on. It would have received
// the alerts of another document at the time of the document, and one without an end times out.
func firingsOf(ordered []Notification) map[string][]fired {
	out := map[string][]fired{}
	for _, n := range ordered {
		for _, a := range n.Batch.Alerts {
			f := fired{
				labels: a.Labels, startsAt: a.StartsAt, from: n.At, to: n.At, timeout: n.At.Add(resolveTimeout),
			}
			if n.Batch.GroupKey != "" {
				f.from, f.timeout = a.StartsAt, time.Time{}
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
			case a.Status == aggregator.Firing:
				known[len(known)-1].timeout = f.timeout
			case open:
				known[len(known)-1].to = f.to
			case !repeated:
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
