package source

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what an operator sees. Every label has a bounded set of values.
type metrics struct {
	registry            *prometheus.Registry
	notifications       *prometheus.CounterVec
	notificationSeconds prometheus.Histogram
	inFlight            prometheus.Gauge
	alerts              prometheus.Counter
	events              *prometheus.CounterVec
	eventSeconds        prometheus.Histogram
}

func newMetrics() *metrics {
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "stormfold_source", Name: name, Help: help,
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		notifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "stormfold_source", Name: "notifications_total",
			Help: "Webhooks answered, by result (ok, or the reason of the refusal).",
		}, []string{"result"}),
		notificationSeconds: seconds("notification_duration_seconds", "Time from a webhook's arrival to its answer."),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "stormfold_source", Name: "notifications_in_flight", Help: "Webhooks that are being sent on.",
		}),
		alerts: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "stormfold_source", Name: "alerts_total", Help: "Alerts in events that the sink accepted, repetitions included.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "stormfold_source", Name: "events_total", Help: "Events sent to the sink, by result (ok, or why it has them not).",
		}, []string{"result"}),
		eventSeconds: seconds("event_duration_seconds", "Time of an event's way to the sink, its answer included."),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "stormfold_source", Name: "build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.notifications, m.notificationSeconds, m.inFlight, m.alerts, m.events, m.eventSeconds, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Version is the version that this program was built as.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// answered counts a webhook by its answer, and the alerts of it that the sink accepted.
func (m *metrics) answered(result reason, alerts int, took time.Duration) {
	m.notifications.WithLabelValues(string(result)).Inc()
	m.alerts.Add(float64(alerts))
	m.notificationSeconds.Observe(took.Seconds())
}

func (m *metrics) sent(result reason, took time.Duration) {
	m.events.WithLabelValues(string(result)).Inc()
	m.eventSeconds.Observe(took.Seconds())
}
