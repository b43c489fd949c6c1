package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/events"
)

// The types of reply events.
const (
	TypeOpened   = events.TypeOpened
	TypeStorm    = events.TypeStorm
	TypeResolved = events.TypeResolved
)

// replies are the transitions that have a reply, and which of them matters most when an event caused several. A
// reopened incident has the reply of one that opened.
var replies = map[aggregator.TransitionType]struct {
	eventType string
	weight    int
}{
	aggregator.Stormed:  {TypeStorm, 3},
	aggregator.Opened:   {TypeOpened, 2},
	aggregator.Reopened: {TypeOpened, 2},
	aggregator.Closed:   {TypeResolved, 1},
}

// Reply reports the most important transition that an event caused: a storm before an opening before a resolution, the
// first among equals. It is nil if there is none. The source is ours; the time is that of the report that caused it.
// The id depends only on incident, type and revision, so every pod gives the same transition the same id. The reply
// continues the trace of the incoming event.
func Reply(source string, in event.Event, notifiedAt time.Time, transitions []aggregator.Transition) *event.Event {
	var told *aggregator.Transition
	for i := range transitions {
		weight := replies[transitions[i].Type].weight
		if weight > 0 && (told == nil || weight > replies[told.Type].weight) {
			told = &transitions[i]
		}
	}
	if told == nil {
		return nil
	}
	out := event.New()
	out.SetType(replies[told.Type].eventType)
	out.SetSource(source)
	out.SetSubject(told.Incident)
	out.SetTime(notifiedAt)
	out.SetID(replyID(told.Incident, out.Type(), told.Revision))
	for _, name := range []string{"traceparent", "tracestate"} {
		if value, ok := in.Extensions()[name]; ok {
			out.SetExtension(name, value)
		}
	}
	err := out.SetData(event.ApplicationJSON, events.Incident{
		Incident: events.Reference{
			APIVersion: "stormfold.io/v1alpha1",
			Kind:       "Incident",
			Namespace:  told.Namespace,
			Name:       told.Incident,
		},
		Type: string(
			told.Type,
		), Policy: told.Policy, Group: told.Group, AlertName: told.AlertName, Revision: told.Revision,
		Alerts: events.Counts{Total: told.Total, Firing: told.Firing}, Reason: told.Reason,
	})
	if err != nil { // Plain strings and numbers always marshal; and a reply is best effort.
		return nil
	}
	return &out
}

// replyID is 32 hex digits.
func replyID(incident, eventType string, revision int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", incident, eventType, revision))
	return hex.EncodeToString(sum[:16])
}
