// Package virtual has Prometheus on virtual time, for tests and recordings that last for hours. Every minute it sends
// what fires, and for 15 minutes what has resolved, to the model of Alertmanager.
package virtual

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/stormfold/stormfold/internal/alertmanager"
)

const (
	// resendDelay is after which time Prometheus sends again what it has sent before.
	resendDelay = time.Minute
	// endsAfter is for how long an alert stands when Prometheus does not send it again.
	endsAfter = 4 * resendDelay
	// resolvedFor is for how long Prometheus sends that an alert is over.
	resolvedFor = 15 * time.Minute
)

// Firing is one firing of an alert in Prometheus.
type Firing struct {
	Labels, Annotations map[string]string
	From, To            time.Time
	// Silent is from when on Prometheus sends nothing more of it, not even its end: Prometheus went away. Zero: never.
	Silent time.Time
}

// Over is when the firing is over for an Alertmanager that Prometheus does not notify of its end: what was sent last
// ends.
func (f Firing) Over() time.Time {
	last := f.From
	for at := f.From; at.Before(f.To) && at.Before(f.Silent); at = at.Add(resendDelay) {
		last = at
	}
	return last.Add(endsAfter)
}

// word is what Prometheus sends of one alert at a time.
type word struct {
	at    time.Time
	alert alertmanager.Alert
}

// Send has a Prometheus tell an Alertmanager of firings, in the order of time, until a time.
func Send(firings []Firing, to *alertmanager.Alertmanager, until time.Time) {
	var words []word
	for _, f := range firings {
		words = append(words, f.words(until, firings)...)
	}
	slices.SortStableFunc(words, func(a, b word) int {
		return cmp.Or(a.at.Compare(b.at),
			cmp.Compare(alertmanager.Fingerprint(a.alert.Labels), alertmanager.Fingerprint(b.alert.Labels)))
	})
	for len(words) > 0 && words[0].at.Before(until) {
		var together []alertmanager.Alert
		at := words[0].at
		for ; len(words) > 0 && words[0].at.Equal(at); words = words[1:] {
			together = append(together, words[0].alert)
		}
		to.Receive(at, together...)
	}
	to.Advance(until)
}

// words are what Prometheus sends of a firing. It says nothing more of its end once the alert fires again.
func (f Firing) words(until time.Time, all []Firing) []word {
	if !f.Silent.IsZero() && f.Silent.Before(until) {
		until = f.Silent
	}
	for _, next := range all {
		if next.From.After(f.From) && next.From.Before(until) && maps.Equal(next.Labels, f.Labels) {
			until = next.From
		}
	}
	var words []word
	a := alertmanager.Alert{Labels: f.Labels, Annotations: f.Annotations, StartsAt: f.From}
	for at := f.From; at.Before(f.To) && at.Before(until); at = at.Add(resendDelay) {
		a.EndsAt = at.Add(endsAfter)
		words = append(words, word{at, a})
	}
	a.EndsAt = f.To
	for at := f.To; at.Before(f.To.Add(resolvedFor)) && at.Before(until); at = at.Add(resendDelay) {
		words = append(words, word{at, a})
	}
	return words
}
