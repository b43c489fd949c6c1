package aggregator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// realistic is an alert with labels of the lengths that a cluster has: 12 characters of namespace, 30 of pod, 20 of
// node.
func (l *lab) realistic(n int) Alert {
	labels := map[string]string{
		"alertname": "PodDown", "namespace": "payments-prd", "pod": fmt.Sprintf("checkout-svc-7d9f8b6c5d-%05d", n),
		"node": fmt.Sprintf("ip-10-0-%03d-%03d.zone", n/250, n%250), "severity": "critical",
	}
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	return Alert{
		Fingerprint: set.Fingerprint().String(), Status: Firing, Labels: labels, StartsAt: l.now, NotifiedAt: l.now,
		Annotations: map[string]string{"summary": "a pod is down"},
	}
}

// fill makes a storm of n alerts.
func (l *lab) fill(n int) Folded {
	var f Folded
	for i := 0; i < n; i += 250 {
		var alerts []Alert
		for j := i; j < min(n, i+250); j++ {
			alerts = append(alerts, l.realistic(j))
		}
		f = l.fold(alerts...)
	}
	return f
}

// maxBytesPerAlert is the design's budget of Redis memory for one tracked alert of 10,000.
const maxBytesPerAlert = 200

func TestMemoryPerAlert(t *testing.T) {
	l := newLab(t, nil)
	f := l.fill(10000)
	require.Equal(t, 10000, f.Total)
	total := int64(0)
	for _, key := range l.keys.group(f.Group).list() {
		total += l.rdb.MemoryUsage(l.ctx, key, 0).Val()
	}
	t.Logf("%.1f bytes of Redis memory per alert", float64(total)/10000)
	require.LessOrEqual(t, total/10000, int64(maxBytesPerAlert))
}

// One fold costs the same in a group of 10,000 alerts as in one of 10. The bound leaves room for a noisy machine; the
// design's is 1.2.
func TestFoldCostDoesNotGrow(t *testing.T) {
	measure := func(n int) time.Duration {
		l := newLab(t, nil)
		l.fill(n)
		var took []time.Duration
		for i := range 400 {
			l.pass(time.Millisecond)
			alert := l.realistic(i % n)
			if i%2 == 0 {
				alert.Status, alert.EndsAt = Resolved, l.now
			}
			start := time.Now()
			l.fold(alert)
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	var ratios []float64
	for range 5 {
		ratios = append(ratios, float64(measure(10000))/float64(measure(10)))
	}
	slices.Sort(ratios)
	t.Logf("a fold at 10,000 alerts takes %.2f times one at 10 (median of %d: %.2f)", ratios[2], len(ratios), ratios)
	require.Less(t, ratios[2], 1.5)
}

func BenchmarkFold(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLab(b, nil)
			l.fill(n)
			for i := 0; b.Loop(); i++ {
				l.pass(time.Millisecond)
				l.fold(l.realistic(i % n))
			}
		})
	}
}
