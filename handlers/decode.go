// Package handlers is where events come in and go out: CloudEvents to alerts, errors to answers, transitions to reply
// events. It does no I/O and knows no clock; everything in it is a function of its arguments.
//
//	Decode   an event's alerts that can be used, cut to the limits, and what was left out; or an *Invalid that names the
//	         field
//	Answer   400 where no retry can help, 503 otherwise
//	Reply    the event about an incident that opened, became a storm, or resolved
package handlers

import (
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/stormfold/stormfold/aggregator"
)

// The types of the events that are taken. Those of Stormfold's own replies are not among them, so that a broker that
// sends a reply back cannot make a loop.
const (
	// TypeNotification carries the document of Alertmanager's webhook, version 4.
	TypeNotification = "io.prometheus.alertmanager.notification.v1"
	// TypeAlert carries one alert as in that document's list.
	TypeAlert = "io.prometheus.alertmanager.alert.v1"
	// TypePing is a tick of a PingSource; what it carries is not looked at.
	TypePing = "dev.knative.sources.ping"
	// TypeResourceAdd and TypeResourceUpdate carry a Kubernetes Event, from an ApiServerSource in Resource mode.
	TypeResourceAdd    = "dev.knative.apiserver.resource.add"
	TypeResourceUpdate = "dev.knative.apiserver.resource.update"
)

var taken = []string{TypeNotification, TypeAlert, TypePing, TypeResourceAdd, TypeResourceUpdate}

// Types are those of the events that are taken.
func Types() []string { return slices.Clone(taken) }

// Known says whether events of that type are taken, so that a metric can be labelled with it.
func Known(eventType string) bool { return slices.Contains(taken, eventType) }

// Kind is what an event asks for.
type Kind int

// The kinds of events.
const (
	// Alerts: the event has alerts to fold, in Request.Batch.
	Alerts Kind = iota + 1
	// Tick: the event asks to write what is due.
	Tick
	// Ignore: the event is fine and has nothing for us, like a Kubernetes Event of type Normal.
	Ignore
)

// Request is a valid event.
type Request struct {
	Kind  Kind
	Batch aggregator.Batch
	// NotifiedAt is when the sender notified, see notifiedAt; every alert of the batch has it too. Zero unless Kind is
	// Alerts.
	NotifiedAt time.Time
	// LeftOut is what cannot be used of the event, by reason; the other alerts are in the batch.
	LeftOut []LeftOut
	// Periods are those in which the sender notifies, where the event says so.
	Periods Periods
}

// Decode reads an event. Its errors are *Invalid: nothing of the event can be used, and no retry can help. The time of
// receipt counts only for an event that has no time of its own.
func Decode(ev event.Event, receivedAt time.Time) (Request, error) {
	request, invalid := decode(ev, receivedAt)
	if invalid != nil {
		return Request{}, invalid
	}
	return request, nil
}

func decode(ev event.Event, receivedAt time.Time) (Request, *Invalid) {
	if !Known(ev.Type()) {
		return Request{}, &Invalid{Field: "type", Problem: quote(ev.Type()) + " is not a supported event type"}
	}
	if ev.Type() == TypePing {
		return Request{Kind: Tick}, nil
	}
	at, invalid := notifiedAt(ev, receivedAt)
	if invalid != nil {
		return Request{}, invalid
	}
	if invalid := checkContentType(ev.DataContentType()); invalid != nil {
		return Request{}, invalid
	}
	data := ev.Data()
	if invalid := checkData(data); invalid != nil {
		return Request{}, invalid
	}
	var batch aggregator.Batch
	var left []LeftOut
	switch ev.Type() {
	case TypeNotification:
		batch, left, invalid = decodeNotification(data, at)
	case TypeAlert:
		batch, invalid = decodeAlert(data, at)
	default:
		batch, invalid = decodeKubeEvent(data, at)
	}
	if invalid != nil {
		return Request{}, invalid
	}
	if len(batch.Alerts) == 0 {
		return Request{Kind: Ignore}, nil
	}
	for i := range batch.Alerts {
		if batch.Alerts[i].NotifiedAt.IsZero() {
			batch.Alerts[i].NotifiedAt = at
		}
	}
	return Request{Kind: Alerts, Batch: batch, NotifiedAt: at, LeftOut: left, Periods: periods(ev)}, nil
}

// checkContentType takes JSON under each of its names; an event without a content type is JSON by CloudEvents' rule.
func checkContentType(contentType string) *Invalid {
	if contentType == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")) {
		return nil
	}
	return &Invalid{Field: "datacontenttype", Problem: fmt.Sprintf("%s is not JSON", quote(contentType))}
}
