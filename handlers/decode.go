// Package handlers converts CloudEvents to alerts, errors to answers, and transitions to reply events. It does no I/O
// and has no clock: all its functions are pure.
//
//	Decode   the usable alerts of an event, cut to the limits, and what was left out; or an *Invalid that names the field
//	Answer   400 if no retry can help, 503 otherwise
//	Reply    the reply event about an incident that opened, became a storm, or resolved
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

// The supported event types. Those of Stormfold's own replies are not among them, so a broker that sends a reply back
// cannot cause a loop.
const (
	// TypeNotification carries the document of Alertmanager's webhook, version 4.
	TypeNotification = "io.prometheus.alertmanager.notification.v1"
	// TypeAlert carries one alert as in that document's list.
	TypeAlert = "io.prometheus.alertmanager.alert.v1"
	// TypePing is a tick of a PingSource; its data is ignored.
	TypePing = "dev.knative.sources.ping"
	// TypeResourceAdd and TypeResourceUpdate carry a Kubernetes Event, from an ApiServerSource in Resource mode.
	TypeResourceAdd    = "dev.knative.apiserver.resource.add"
	TypeResourceUpdate = "dev.knative.apiserver.resource.update"
)

var taken = []string{TypeNotification, TypeAlert, TypePing, TypeResourceAdd, TypeResourceUpdate}

// Types are the supported event types.
func Types() []string { return slices.Clone(taken) }

// Known reports whether a type is supported, so that a metric can be labelled with it.
func Known(eventType string) bool { return slices.Contains(taken, eventType) }

// Kind is what an event asks for.
type Kind int

// The kinds of events.
const (
	// Alerts: the event has alerts to fold, in Request.Batch.
	Alerts Kind = iota + 1
	// Tick: the event is a request to write what is due.
	Tick
	// Ignore: the event is valid but irrelevant, like a Kubernetes Event of type Normal.
	Ignore
)

// Request is a valid event.
type Request struct {
	Kind  Kind
	Batch aggregator.Batch
	// NotifiedAt is when the sender notified, see notifiedAt; every alert of the batch has it too. Zero unless Kind is
	// Alerts.
	NotifiedAt time.Time
	// LeftOut is the unusable part of the event, by reason; the other alerts are in the batch.
	LeftOut []LeftOut
	// Periods are those of the sender, if the event has them.
	Periods Periods
}

// Decode reads an event. Its errors are *Invalid: nothing of the event can be used, and no retry can help. The time of
// receipt is used only for events without a time.
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

// checkContentType accepts all names of JSON; an event without a content type is JSON, as CloudEvents specifies.
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
