package handlers

import "slices"

// LeftOutReason is why an alert of an event was left out, from a closed set: it labels a metric.
type LeftOutReason string

// The reasons for which an alert is left out while the others of its event are accepted.
const (
	LeftOutType     LeftOutReason = "type"     // It is not an object.
	LeftOutEncoding LeftOutReason = "encoding" // It is not valid UTF-8.
	LeftOutStatus   LeftOutReason = "status"   // It is neither firing nor resolved.
	LeftOutLabels   LeftOutReason = "labels"   // It has no usable labels.
	LeftOutTime     LeftOutReason = "time"     // Its startsAt is not a time.
	LeftOutTooMany  LeftOutReason = "too_many" // The event has more than MaxAlerts.
)

// LeftOutReasons are all of them.
func LeftOutReasons() []LeftOutReason {
	return []LeftOutReason{LeftOutType, LeftOutEncoding, LeftOutStatus, LeftOutLabels, LeftOutTime, LeftOutTooMany}
}

// LeftOut is what was left out of an event for one reason.
type LeftOut struct {
	Reason LeftOutReason
	// Alerts is the number of alerts.
	Alerts int
	// First describes the problem of the first one.
	First *Invalid
}

// leftOut has at most one entry for a reason, so that it stays small whatever an event holds.
type leftOut []LeftOut

func (l *leftOut) add(alerts int, invalid *Invalid) {
	i := slices.IndexFunc(*l, func(known LeftOut) bool { return known.Reason == invalid.leaves })
	if i < 0 {
		*l = append(*l, LeftOut{Reason: invalid.leaves, First: invalid})
		i = len(*l) - 1
	}
	(*l)[i].Alerts += alerts
}

// first is what is wrong with the first alert that was left out.
func (l leftOut) first() *Invalid { return l[0].First }
