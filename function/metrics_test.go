package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/stormfold/stormfold/aggregator"
)

// The results of calls of the API server are a closed set, whatever an admission webhook or a proxy gives for a reason.
func TestKubeResultsAreBounded(t *testing.T) {
	incidents := schema.GroupResource{Group: "stormfold.io", Resource: "incidents"}
	for want, err := range map[string]error{
		"NotFound":        apierrors.NewNotFound(incidents, "x"),
		"Conflict":        fmt.Errorf("writing: %w", apierrors.NewConflict(incidents, "x", errors.New("y"))),
		"TooManyRequests": apierrors.NewTooManyRequests("later", 1),
		"Forbidden":       apierrors.NewForbidden(incidents, "x", errors.New("exceeded quota")),
		"Unreachable":     context.DeadlineExceeded,
	} {
		require.Equal(t, want, kubeResult(err))
	}
	for _, reason := range []metav1.StatusReason{"pod web-0 is not allowed", metav1.StatusReasonUnknown} {
		err := &apierrors.StatusError{
			ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusTeapot, Reason: reason},
		}
		require.Equal(t, "Other", kubeResult(err))
	}
}

// A transition comes out of Redis: it may be anything.
func TestTransitionTypesAreBounded(t *testing.T) {
	require.Equal(t, "storm", known(aggregator.Stormed, transitionTypes))
	require.Equal(t, "Other", known("hacked", transitionTypes))
}

// Whatever Redis and the API server say, and whatever is counted, no label gets a value beyond its set.
func TestCountingKeepsLabelsClosed(t *testing.T) {
	m := allMetrics(t, false)
	group := aggregator.Group{ID: "g", Alerts: []aggregator.Alert{{Status: aggregator.Firing}, {Status: "?"}}}
	m.answered("x.y.z", errors.New("?"), time.Second)
	m.folded([]folded{
		{group: group, Folded: aggregator.Folded{Group: "g", Changed: true}},
		{group: group, Folded: aggregator.Folded{Group: "overflow", TookOver: true}},
		{group: group, Folded: aggregator.Folded{Err: fmt.Errorf("x: %w", aggregator.ErrOutOfMemory)}},
		{group: group, earlier: true},
	}, time.Second)
	for _, kind := range append(transitionTypes, "?") {
		m.transition(aggregator.Transition{Type: kind, Storm: true, Told: true})
	}
	m.unread(aggregator.ErrTimeout, time.Second)
	m.settled(&aggregator.Snapshot{TookOver: true, Objects: []aggregator.Object{
		{Name: "a", Storm: true, Truncated: true}, {Name: "b", Delete: true}, {Name: "c"},
		{Name: "d", Outage: &aggregator.Outage{}},
	}}, []aggregator.Confirmed{{Name: "a"}, {Name: "b"}, {Name: "d"}}, errors.Join(errors.New("?"), aggregator.ErrReply), time.Second)
	m.kubeCall("?", time.Second, errors.New("?"))
	m.redisFailed(fmt.Errorf("%w: %w", aggregator.ErrUnavailable, errOpen))
	m.passed("skipped", 2)
	m.shards.saw(3, aggregator.Swept{Total: 5, Overflow: 1, Alerts: 7, Storms: 2})
	m.shards.saw(3, aggregator.Swept{Total: 5, Overflow: 1, Alerts: 7, Storms: 2})
	m.shards.saw(4, aggregator.Swept{Total: 5, Alerts: 1})
	m.swept(4, time.Second, nil)
	require.Empty(t, m.set.Check())

	for want, counter := range map[float64][]prometheus.Metric{
		1: {
			m.promotions, m.deletions, m.redisErrors.WithLabelValues("oom"), m.redisErrors.WithLabelValues("timeout"),
			m.redisErrors.WithLabelValues("reply"), m.writes.WithLabelValues("Storm", "true"),
			m.writes.WithLabelValues("Outage", "false"),
			m.kubeRequests.WithLabelValues("Other", "Unreachable"), m.groups.WithLabelValues("overflow"),
		},
		0: {m.redisErrors.WithLabelValues("unavailable"), m.writes.WithLabelValues("Alert", "false")},
		2: {m.takeovers, m.overflow, m.alerts[aggregator.Firing], m.open.WithLabelValues("Storm")},
		4: {m.sweptGroups}, 8: {m.open.WithLabelValues("Alert")}, 9: {m.groups.WithLabelValues("plain")},
	} {
		for i, one := range counter {
			require.Equal(t, want, valueOf(t, one), "%g, %d", want, i)
		}
	}
}

// valueOf is that of a counter or a gauge.
func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	require.NoError(t, m.Write(&out))
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}
