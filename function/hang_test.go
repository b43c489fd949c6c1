package function

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// A group that is remembered again and again while all slots are taken waits once.
func TestSchedulerRemembersAGroupOnce(t *testing.T) {
	var runs atomic.Int32
	started, release := make(chan struct{}, 2), make(chan struct{})
	s := newScheduler(1, func(string, string, bool, cause) {
		runs.Add(1)
		started <- struct{}{}
		<-release
	})
	first := s.schedule("g", time.Now(), "", cause{})
	<-started
	var later []<-chan struct{}
	for range 1000 {
		later = append(later, s.schedule("g", time.Now(), "", cause{}))
	}
	require.Equal(t, 1, s.size())
	close(release)
	<-first
	for _, done := range later {
		<-done
	}
	require.EqualValues(t, 2, runs.Load())
}

// hanging is an API server that never answers: the first call until its time is up, the others until it is released.
type hanging struct {
	projector.Memory
	calls   atomic.Int32
	release chan struct{}
}

func (h *hanging) List(ctx context.Context, _ string, _ metav1.ListOptions) (*v1alpha1.IncidentList, error) {
	if h.calls.Add(1) == 1 {
		<-ctx.Done()
	} else {
		<-h.release
	}
	return nil, context.DeadlineExceeded
}

// A pod that starts while the API server hangs takes events: the import goes on behind it.
func TestStartWhileTheAPIServerHangs(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	api := &hanging{release: make(chan struct{})}
	f := New()
	f.Parts = Parts{Redis: client, Incidents: api}
	require.NoError(t, f.Start(t.Context(), map[string]string{
		"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_LOG_LEVEL": "error",
		"STORMFOLD_POLICIES":     testbed.OnePolicyFile(t),
		"STORMFOLD_KUBE_TIMEOUT": "100ms",
	}))
	_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
	require.NoError(t, err)
	close(api.release)
	require.NoError(t, f.Stop(t.Context()))
}

// failing fails one of the script calls about a single group: 1 is the snapshot after the first fold, 2 what settles
// it. It does so before Redis sees the call, or after.
type failing struct {
	redis.Hook
	call  int32
	after bool
	calls atomic.Int32
}

func (f *failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		const ofAGroup = "10" // keys
		if args := cmd.Args(); cmd.Name() != "evalsha" || fmt.Sprint(args[2]) != ofAGroup || f.calls.Add(1) != f.call {
			return next(ctx, cmd)
		}
		if f.after {
			if err := next(ctx, cmd); err != nil {
				return err
			}
		}
		cmd.SetErr(io.ErrUnexpectedEOF)
		return io.ErrUnexpectedEOF
	}
}

// The lease that a fold granted is not lost with a call that fails, nor one that a call took whose answer was lost: the
// group is written again long before the lease is over.
func TestAFailedCallKeepsItsLease(t *testing.T) {
	for name, hook := range map[string]*failing{
		"snapshot, before Redis": {call: 1}, "snapshot, after Redis": {call: 1, after: true},
		"settle, before Redis": {call: 2}, "settle, after Redis": {call: 2, after: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			client.AddHook(hook)
			api := &projector.Memory{}
			f := New()
			f.Parts = Parts{Redis: client, Incidents: api}
			require.NoError(t, f.Start(t.Context(), map[string]string{
				"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_LOG_LEVEL": "error",
				"STORMFOLD_POLICIES": testbed.OnePolicyFile(t),
				"STORMFOLD_LEASE":    "5m",
			}))
			_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, hook.calls.Load(), hook.call)
			_, err = f.Handle(t.Context(), alertEvent(t, "web-1", "firing"))
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				list, err := api.List(t.Context(), "stormfold", metav1.ListOptions{})
				return err == nil && len(list.Items) == 2
			}, time.Minute, 10*time.Millisecond)
			require.NoError(t, f.Stop(t.Context()))
		})
	}
}

func TestAnAlertsNamespaceIsUsedWhenItIsOne(t *testing.T) {
	p := &pod{settings: &config.Settings{Namespace: "stormfold", NamespaceMode: config.NamespaceAlert}}
	for given, want := range map[string]string{"shop": "shop", "a/b": "stormfold", "50%": "stormfold", ".": "stormfold",
		"": "stormfold"} {
		group := aggregator.Group{
			Alerts: []aggregator.Alert{{Labels: map[string]string{"alertname": "A", "namespace": given, "pod": "p"}}},
		}
		require.Equal(t, want, p.namespace(group), given)
	}
}
