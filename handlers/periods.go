package handlers

import (
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Periods are how often a sender notifies of a group of alerts; zero is unknown. They are only compared with policies,
// and do not affect the fold.
type Periods struct {
	// GroupInterval is the shortest time between two notifications of which the second has changes, RepeatInterval that
	// between two identical ones.
	GroupInterval, RepeatInterval time.Duration
}

// The extensions in which the source sends the measured periods, in seconds.
const (
	groupIntervalExtension  = "groupinterval"
	repeatIntervalExtension = "repeatinterval"
)

func periods(ev event.Event) Periods {
	return Periods{
		GroupInterval:  secondsOf(ev, groupIntervalExtension),
		RepeatInterval: secondsOf(ev, repeatIntervalExtension),
	}
}

// secondsOf is an extension's value; zero if it is not a positive number of seconds.
func secondsOf(ev event.Event, name string) time.Duration {
	seconds, err := types.ToInteger(ev.Extensions()[name])
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
