package main

import (
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stormfold/stormfold/internal/meter"
)

// metrics count the events that could not be delivered, and why.
type metrics struct {
	set     *meter.Set
	letters *prometheus.CounterVec
	refused *prometheus.CounterVec
}

// codes are the values of knativeerrorcode: the status of the last attempt, or none.
var codes = meter.Of("code", "400", "413", "4xx", "5xx", "none")

func newMetrics() *metrics {
	s := meter.New("stormfold_dead_letters")
	return &metrics{
		set: s,
		letters: s.Counter(
			"events_total",
			"Undelivered events written to the log, by status of the last attempt (none: no answer). "+
				"400 and 413 are invalid events; 5xx includes 503.",
			codes,
		),
		refused: s.Counter(
			"requests_refused_total",
			"Requests not written to the log: not an event (invalid), or a write error (error).",
			meter.Of("reason", "invalid", "error"),
		),
	}
}

// wrote counts an event.
func (m *metrics) wrote(ev event.Event) { m.letters.WithLabelValues(codeOf(ev)).Inc() }

func codeOf(ev event.Event) string {
	status, err := types.ToInteger(ev.Extensions()["knativeerrorcode"])
	switch {
	case err != nil:
		return "none"
	case status == http.StatusBadRequest:
		return "400"
	case status == http.StatusRequestEntityTooLarge:
		return "413"
	case status >= 400 && status < 500:
		return "4xx"
	case status >= 500 && status < 600:
		return "5xx"
	}
	return "none"
}
