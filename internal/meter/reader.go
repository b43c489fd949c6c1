package meter

import "github.com/prometheus/client_golang/prometheus"

// reader collects what somebody else counts.
type reader struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	label  bool
	values []string
	read   func(value string) float64
}

func (r *reader) Describe(out chan<- *prometheus.Desc) { out <- r.desc }

func (r *reader) Collect(out chan<- prometheus.Metric) {
	for _, value := range r.values {
		var labels []string
		if r.label {
			labels = []string{value}
		}
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, r.read(value), labels...)
	}
}
