package source

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stormfold/stormfold/internal/meter"
)

// metrics are the source's metrics.
type metrics struct {
	set                 *meter.Set
	notifications       map[reason]prometheus.Counter
	notificationSeconds prometheus.Observer
	inFlight            prometheus.Gauge
	alerts              prometheus.Counter
	leftOut             *prometheus.CounterVec
	lookups             *prometheus.CounterVec
	events              map[reason]prometheus.Counter
	eventSeconds        prometheus.Observer
}

// sinkResults are the results of sending an event.
var sinkResults = []reason{ok, sinkRefused, sinkUnavailable, sinkUnreachable, sinkTimeout}

func newMetrics() *metrics {
	s := meter.New("stormfold_source")
	results := make([]reason, 0, len(answers))
	for _, a := range answers {
		results = append(results, a.reason)
	}
	return &metrics{
		set: s,
		notifications: byReason(s.Counter("notifications_total", "Webhooks by result: ok, or the reason of the refusal.",
			meter.Of("result", results...)), results),
		notificationSeconds: s.Histogram("notification_duration_seconds", "Time from a webhook's arrival to its answer.").
			WithLabelValues(),
		inFlight: s.Gauge("notifications_in_flight", "Webhooks in progress.").WithLabelValues(),
		alerts: s.Counter("alerts_total", "Alerts in events that the sink accepted, including repetitions.").
			WithLabelValues(),
		leftOut: s.Counter(
			"alerts_left_out_total",
			"Alerts that were not sent because of their type (not an object), encoding (not UTF-8), "+
				"status or labels. The function leaves out more.",
			meter.Of("reason", noObject, noUTF8, noStatus, noLabels),
		),
		lookups: s.Counter(
			"lookups_total",
			"Alerts that were looked up: found, unknown, or unsynced while the cluster is not known yet.",
			meter.Of("result", lookupFound, lookupUnknown, lookupUnsynced),
		),
		events: byReason(
			s.Counter("events_total", "Events sent to the sink, by result: ok, or why the sink did not accept them.",
				meter.Of("result", sinkResults...)),
			sinkResults,
		),
		eventSeconds: s.Histogram("event_duration_seconds", "Time to send an event to the sink, including the answer.").
			WithLabelValues(),
	}
}

func byReason(counter *prometheus.CounterVec, reasons []reason) map[reason]prometheus.Counter {
	out := make(map[reason]prometheus.Counter, len(reasons))
	for _, r := range reasons {
		out[r] = counter.WithLabelValues(string(r))
	}
	return out
}

// Version is the version that this program was built as.
func Version() string { return meter.Version() }

// answered counts a webhook by its answer, and the alerts of it that the sink accepted.
func (m *metrics) answered(result reason, alerts int, took time.Duration) {
	m.notifications[result].Inc()
	m.alerts.Add(float64(alerts))
	m.notificationSeconds.Observe(took.Seconds())
}

func (m *metrics) lookup(result lookupResult) { m.lookups.WithLabelValues(string(result)).Inc() }

func (m *metrics) sent(result reason, took time.Duration) {
	m.events[result].Inc()
	m.eventSeconds.Observe(took.Seconds())
}
