package aggregator

import (
	"time"

	"github.com/stormfold/stormfold/internal/subject"
)

// Status is the word a sender has about an alert.
type Status string

// The two statuses of Alertmanager's webhook.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// Alert is one validated alert of one event: a label set that fires or resolves.
type Alert struct {
	// Fingerprint is the one that was sent, or Alertmanager's: 16 lower-case hex digits of the FNV-1a 64 hash of the
	// sorted labels. Of an alert in a Group it is the identity, which leaves labels about the scrape target out.
	Fingerprint string
	// Source tells the senders of one alert apart: the first 8 hex digits of the fingerprint that was sent, empty when
	// that is the identity. The alert fires while it fires by any of them. Split sets it.
	Source      string
	Status      Status
	Labels      map[string]string
	Annotations map[string]string
	// StartsAt is when the alert began to fire; EndsAt when it stopped, zero while it is unknown.
	// Both are facts for the reader of an incident, never an order: Alertmanager moves them backwards.
	StartsAt time.Time
	EndsAt   time.Time
	// NotifiedAt is when the sender reported the alert. It orders the reports about one alert and stays the
	// same when the event is delivered again. The fold compares it in milliseconds.
	NotifiedAt time.Time
	// GeneratorURL leads to the rule that made the alert; it may be empty.
	GeneratorURL string
	// Reading is what the labels say. Split sets it; nil is what the built-in rules read.
	Reading *subject.Reading
	// Lookups are labels that the source found in Kubernetes: node, zone and owner. They decide neither on the identity
	// nor on the group.
	Lookups map[string]string

	traits []string // What outages use of its labels; Fold sets it.
}

// reading is what the labels say.
func (a *Alert) reading() *subject.Reading {
	if a.Reading != nil {
		return a.Reading
	}
	r := subject.Rules(nil).Read(a.Labels)
	return &r
}

// sourceDigits is how much of a sender's fingerprint tells the sources of one identity apart.
const sourceDigits = 8

// read takes in what the labels say: the alert's fingerprint becomes its identity.
func (a *Alert) read(r *subject.Reading) {
	a.Reading = r
	if identity := r.Identity(a.Fingerprint); identity != a.Fingerprint {
		a.Source, a.Fingerprint = a.Fingerprint[:min(sourceDigits, len(a.Fingerprint))], identity
	}
}

// Batch is what one event says.
type Batch struct {
	Alerts []Alert
	// Truncated is true when the sender left alerts out of the event (Alertmanager's truncatedAlerts > 0).
	Truncated bool
	// GroupKey is a hash of the sender's key of the group that the event is about (Alertmanager's groupKey); empty
	// where it told none.
	GroupKey string
}

// notification is the batch as a Group names it.
func (b Batch) notification() string {
	switch {
	case b.Truncated:
		return "!" + b.GroupKey + " "
	case b.GroupKey == "":
		return ""
	}
	return b.GroupKey + " "
}
