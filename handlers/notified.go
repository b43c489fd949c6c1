package handlers

import (
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// arrivalExtension is the extension in which Knative's brokers and channels write the time of arrival.
const arrivalExtension = "knativearrivaltime"

// notifiedAt is when the sender sent an event: the earlier of the event's time and its arrival at the first broker,
// since both stay the same when the event is delivered again. An event with neither gets the time of receipt. It is cut
// to milliseconds, as the fold compares them, and never adjusted to our clock.
func notifiedAt(ev event.Event, receivedAt time.Time) (time.Time, *Invalid) {
	at, field := ev.Time(), "time"
	if extension, ok := ev.Extensions()[arrivalExtension]; ok {
		text, err := types.Format(extension)
		arrival, parseErr := time.Parse(time.RFC3339, text)
		if err != nil || parseErr != nil {
			return time.Time{}, notATime(arrivalExtension, text)
		}
		if at.IsZero() || arrival.Before(at) {
			at, field = arrival, arrivalExtension
		}
	}
	if at.IsZero() && field == "time" {
		at = receivedAt
	}
	if at.UnixMilli() <= 0 {
		return time.Time{}, &Invalid{Field: field, Problem: at.UTC().Format(time.RFC3339) + " is before 1970"}
	}
	return at.UTC().Truncate(time.Millisecond), nil
}

// TooFarAhead is the refusal of an event from the future: its reports would override all later ones.
func TooFarAhead(notifiedAt time.Time, ahead time.Duration) error {
	return &Invalid{Field: "time", Problem: fmt.Sprintf("%s is %s ahead of the clock of the function",
		notifiedAt.UTC().Format(time.RFC3339), ahead.Round(time.Second))}
}

// parseTime reads a time of an alert. The zero time is returned for an absent one and for Alertmanager's own zero,
// 0001-01-01T00:00:00Z; nothing starts or ends in 1970 or before.
func parseTime(field, text string) (time.Time, *Invalid) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, notATime(field, text)
	}
	if t.Unix() <= 0 {
		return time.Time{}, nil
	}
	return t.UTC(), nil
}

func notATime(field, text string) *Invalid {
	return &Invalid{Field: field, Problem: quote(text) + " is not an RFC 3339 time"}
}
