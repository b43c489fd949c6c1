package handlers

import (
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Periods are how often a sender notifies of a group of alerts; zero is not known. They are advice: nothing is folded
// otherwise because of them.
type Periods struct {
	// GroupInterval is the least time between two notifications with news, RepeatInterval the time between two that say
	// the same.
	GroupInterval, RepeatInterval time.Duration
}

// The extensions by which the source tells what it has seen, in seconds.
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

// secondsOf is an extension's value; zero for one that is no positive number of seconds.
func secondsOf(ev event.Event, name string) time.Duration {
	seconds, err := types.ToInteger(ev.Extensions()[name])
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
