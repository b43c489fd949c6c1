package function

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// panicking is an API server whose client panics about incidents of one pod.
type panicking struct {
	*projector.Memory
	pod string
}

func (p *panicking) UpdateStatus(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	for _, resource := range incident.Status.Resources {
		if resource.Name == p.pod {
			panic("an incident of " + p.pod)
		}
	}
	return p.Memory.UpdateStatus(ctx, incident)
}

// redisPanics is a hook that panics instead of the next pipeline.
type redisPanics struct{ next atomic.Bool }

func (r *redisPanics) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *redisPanics) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if r.next.CompareAndSwap(true, false) {
			panic("a call")
		}
		return next(ctx, cmd)
	}
}

func (r *redisPanics) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if r.next.CompareAndSwap(true, false) {
			panic("a pipeline")
		}
		return next(ctx, cmds)
	}
}

// TestAPanicEndsNothingElse: an event that panics is answered 503 and taken when it comes again; a group that panics
// costs no other group anything; and neither ends the pod.
func TestAPanicEndsNothingElse(t *testing.T) {
	seen, lines := observer.New(zap.ErrorLevel)
	f := New()
	f.log = zap.New(seen).Sugar()
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer func() { _ = client.Close() }()
	hook := &redisPanics{}
	client.AddHook(hook)
	incidents := &panicking{Memory: &projector.Memory{}, pod: "poison"}
	f.Parts = Parts{Redis: client, Incidents: incidents}
	require.NoError(t, f.Start(t.Context(), map[string]string{
		"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_SWEEP_INTERVAL": "1s",
	}))
	p := f.pod.Load()
	panics := func(place string) float64 { return valueOf(t, p.metrics.panics.WithLabelValues(place)) }

	hook.next.Store(true)
	require.Eventually(
		t,
		func() bool { return panics(inSweep) == 1 },
		10*time.Second,
		10*time.Millisecond,
		"whoever calls Redis meets it",
	)

	poison := alertEvent(t, "poison", "firing")
	_, err := f.Handle(t.Context(), poison)
	require.Equal(t, http.StatusOK, code(t, err), "its alerts are in Redis")
	require.InDelta(t, 1, panics(inGroup), 0)

	for i := range 10 { // The sweep may be the one who meets it.
		hook.next.Store(true)
		_, err = f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
		if err != nil {
			require.Equal(t, http.StatusServiceUnavailable, code(t, err))
			require.ErrorContains(t, err, "internal: an unexpected error")
			break
		}
		require.Less(t, i, 9)
	}
	hook.next.Store(false)
	require.InDelta(t, 1, panics(inFold), 0)
	other := alertEvent(t, "web-1", "firing")
	require.NoError(
		t,
		other.SetData(
			"application/json",
			map[string]any{"status": "firing", "labels": map[string]string{"alertname": "Other"}},
		),
	)
	_, err = f.Handle(t.Context(), other)
	require.Equal(t, http.StatusOK, code(t, err))
	require.Eventually(t, func() bool {
		list, err := incidents.List(t.Context(), "stormfold", metav1.ListOptions{})
		return err == nil && slices.ContainsFunc(list.Items, func(i v1alpha1.Incident) bool {
			return i.Status.State != "" && i.Spec.GroupLabels["alertname"] == "Other"
		})
	}, 10*time.Second, 10*time.Millisecond, "the other group is written")

	for _, line := range lines.FilterMessage("panic").All() {
		require.Contains(t, line.ContextMap()["stack"], "panics_test.go")
	}
	require.Empty(t, p.metrics.set.Check())
	require.NoError(t, f.Stop(t.Context()))
}

// TestAPanicInHandleIsAnAnswer: whatever the event.
func TestAPanicInHandleIsAnAnswer(t *testing.T) {
	f, _ := start(t)
	p := f.pod.Load()
	broken := &pod{
		settings: p.settings,
		limiter:  newLimiter(1),
		metrics:  newMetrics(),
		traces:   p.traces,
		log:      zap.NewNop().Sugar(),
	}
	f.pod.Store(broken)
	_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
	require.Equal(t, http.StatusServiceUnavailable, code(t, err))
	require.InDelta(t, 1, valueOf(t, broken.metrics.panics.WithLabelValues(inEvent)), 0)
	require.Zero(t, broken.limiter.inUse())
	f.pod.Store(p)
	require.NoError(t, f.Stop(t.Context()))
}
