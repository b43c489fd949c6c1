// Package meter makes the metrics of Stormfold's programs.
//
//	New        a set of metrics that share a prefix
//	Counter…   makes one, with all its labels and all their values
//	Handler    serves them
//	Markdown   documents them, see document.go
//
// A label has a closed set of values, said where the metric is made. Each series is there from the beginning, at 0: an
// increase from nothing to 1 is one that Prometheus' increase() sees only when there was something before.
package meter

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stormfold/stormfold/internal/version"
)

// Label is a label and all the values that it may have.
type Label struct {
	Name   string
	Values []string
}

// Of makes a label of values of any kind of string.
func Of[T ~string](name string, values ...T) Label {
	l := Label{Name: name}
	for _, v := range values {
		l.Values = append(l.Values, string(v))
	}
	return l
}

// Definition is what the documentation says of a metric.
type Definition struct {
	Name, Type, Help string
	Labels           []Label
}

// Set is a program's metrics.
type Set struct {
	prefix      string
	registry    *prometheus.Registry
	definitions []Definition
}

// New makes a set whose names begin with a prefix and an underscore. It has the metrics of the Go runtime, of the
// process and of the build already.
func New(prefix string) *Set {
	s := &Set{prefix: prefix, registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := s.Gauge("build_info", "Always 1, with the version of the program.", Label{Name: "version"})
	build.WithLabelValues(Version()).Set(1)
	return s
}

// Version is the version that this program was built as.
func Version() string { return version.Get().Version }

// Handler serves the metrics at /metrics.
func (s *Set) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}

// Registry is where the metrics are gathered.
func (s *Set) Registry() prometheus.Gatherer { return s.registry }

// Definitions are those of all metrics, in the order in which they were made.
func (s *Set) Definitions() []Definition { return s.definitions }

// Counter makes a counter, at 0 for every combination of its labels' values.
func (s *Set) Counter(name, help string, labels ...Label) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: s.prefix, Name: name, Help: help}, names(labels))
	s.add(v, name, "counter", help, labels)
	each(labels, func(values []string) { v.WithLabelValues(values...) })
	return v
}

// Gauge makes a gauge, at 0 for every combination of its labels' values. One with a label that has no values is made
// with none.
func (s *Set) Gauge(name, help string, labels ...Label) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: s.prefix, Name: name, Help: help}, names(labels))
	s.add(v, name, "gauge", help, labels)
	each(labels, func(values []string) { v.WithLabelValues(values...) })
	return v
}

// The limits of the classic buckets, of what a request waits for and of what takes its time. A quantile is never above
// the last limit, so the latter go up to what an alert may compare with. Prometheus servers that take native histograms
// get those as well, with a resolution of 10 %.
var (
	seconds     = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	longSeconds = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 900, 3600}
)

// Histogram makes a histogram of durations in seconds, classic and native, empty for every combination of its labels'
// values.
func (s *Set) Histogram(name, help string, labels ...Label) *prometheus.HistogramVec {
	return s.histogram(name, help, seconds, labels)
}

// LongHistogram is one of durations that may be minutes.
func (s *Set) LongHistogram(name, help string, labels ...Label) *prometheus.HistogramVec {
	return s.histogram(name, help, longSeconds, labels)
}

func (s *Set) histogram(name, help string, buckets []float64, labels []Label) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: s.prefix, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, names(labels))
	s.add(v, name, "histogram", help, labels)
	each(labels, func(values []string) { v.WithLabelValues(values...) })
	return v
}

// Read makes a gauge or a counter (by its name, which then ends with _total) that is read when it is asked for: one
// series for each value of its label, and a single one without a label.
func (s *Set) Read(name, help string, label Label, read func(value string) float64) {
	kind, valueType := "gauge", prometheus.GaugeValue
	if isTotal(name) {
		kind, valueType = "counter", prometheus.CounterValue
	}
	labels, values := []Label{label}, label.Values
	if label.Name == "" {
		labels, values = nil, []string{""}
	}
	r := &reader{
		desc:  prometheus.NewDesc(prometheus.BuildFQName(s.prefix, "", name), help, names(labels), nil),
		kind:  valueType,
		label: label.Name != "", values: values, read: read,
	}
	s.add(r, name, kind, help, labels)
}

func (s *Set) add(c prometheus.Collector, name, kind, help string, labels []Label) {
	s.registry.MustRegister(c)
	s.definitions = append(
		s.definitions,
		Definition{Name: fmt.Sprintf("%s_%s", s.prefix, name), Type: kind, Help: help, Labels: labels},
	)
}

func names(labels []Label) (out []string) {
	for _, l := range labels {
		out = append(out, l.Name)
	}
	return out
}

// each calls f with every combination of the labels' values.
func each(labels []Label, f func([]string)) {
	var next func(values []string)
	next = func(values []string) {
		if len(values) == len(labels) {
			f(values)
			return
		}
		for _, v := range labels[len(values)].Values {
			next(append(values[:len(values):len(values)], v))
		}
	}
	next(nil)
}
