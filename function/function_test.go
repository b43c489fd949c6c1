package function

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// start starts a function on embedded servers, as make run does.
func start(t *testing.T) (*Function, *projector.Memory) {
	f := New()
	return f, startOn(t, f)
}

// startOn starts a function on embedded servers, with these settings, pairs of key and value.
func startOn(t testing.TB, f *Function, settings ...string) *projector.Memory {
	server := miniredis.RunT(t)
	memory := &projector.Memory{}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() {
		if err := client.Close(); !errors.Is(err, redis.ErrClosed) { // Some tests do that themselves.
			require.NoError(t, err)
		}
	})
	f.Parts = Parts{Redis: client, Incidents: memory}
	data := map[string]string{
		"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_LOG_LEVEL": "error",
		"STORMFOLD_POLICIES": testbed.OnePolicyFile(t),
	}
	for i := 0; i+1 < len(settings); i += 2 {
		data[settings[i]] = settings[i+1]
	}
	require.NoError(t, f.Start(t.Context(), data))
	return memory
}

func alertEvent(t testing.TB, pod, status string) event.Event {
	return alertEventSince(t, pod, status, time.Now())
}

func alertEventSince(t testing.TB, pod, status string, starts time.Time) event.Event {
	ev := event.New()
	ev.SetID(uuid.NewString())
	ev.SetSource("/test")
	ev.SetType("io.prometheus.alertmanager.alert.v1")
	ev.SetTime(time.Now())
	require.NoError(t, ev.SetData("application/json", map[string]any{
		"status": status, "startsAt": starts.UTC().Format(time.RFC3339),
		"labels": map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": pod},
	}))
	return ev
}

// code is the status that the runtime answers with.
func code(t *testing.T, err error) int {
	if err == nil {
		return http.StatusOK
	}
	var result *cehttp.Result
	require.True(t, protocol.ResultAs(err, &result), "%v", err)
	return result.StatusCode
}

func TestFifteenAlertsOnEmbeddedServers(t *testing.T) {
	f, memory := start(t)
	var all sync.WaitGroup
	codes := make([]int, 15)
	for i := range 15 {
		all.Go(func() {
			_, err := f.Handle(t.Context(), alertEvent(t, fmt.Sprintf("web-%d", i), "firing"))
			codes[i] = code(t, err)
		})
	}
	all.Wait()
	for _, c := range codes {
		require.Equal(t, http.StatusOK, c)
	}
	require.NoError(t, f.Stop(t.Context()), "stopping writes what is remembered")
	list, err := memory.List(t.Context(), "stormfold", metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.EqualValues(t, 15, list.Items[0].Status.Alerts.Firing)
}

func TestBeforeItsStartTheFunctionRefuses(t *testing.T) {
	f := New()
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.False(t, ready)
	_, err = f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
	require.Equal(t, http.StatusServiceUnavailable, code(t, err))
	require.ErrorContains(t, err, "not_ready")
	require.NoError(t, f.Stop(t.Context()))
}

func TestAfterItsStopTheFunctionRefuses(t *testing.T) {
	f, _ := start(t)
	require.NoError(t, f.Stop(t.Context()))
	_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
	require.Equal(t, http.StatusServiceUnavailable, code(t, err))
	require.ErrorContains(t, err, "draining")
}

func TestAnEventFromTheFutureIsRefused(t *testing.T) {
	f, _ := start(t)
	ev := alertEvent(t, "web-0", "firing")
	ev.SetTime(time.Now().Add(11 * time.Minute))
	_, err := f.Handle(t.Context(), ev)
	require.Equal(t, http.StatusBadRequest, code(t, err))
	ev.SetTime(time.Now().Add(9 * time.Minute))
	_, err = f.Handle(t.Context(), ev)
	require.Equal(t, http.StatusOK, code(t, err))
	require.NoError(t, f.Stop(t.Context()))
}

func TestAWrongSettingStopsTheStart(t *testing.T) {
	err := New().Start(t.Context(), map[string]string{"STORMFOLD_LEASE": "3"})
	require.ErrorContains(t, err, `STORMFOLD_LEASE: "3"`)
}

func TestATickCarriesOn(t *testing.T) {
	f, _ := start(t)
	ev := event.New()
	ev.SetID("1")
	ev.SetSource("/ping")
	ev.SetType("dev.knative.sources.ping")
	_, err := f.Handle(t.Context(), ev)
	require.Equal(t, http.StatusOK, code(t, err))
	require.NoError(t, f.Stop(t.Context()))
}

// What a policy drops is answered like everything else, counted, and makes nothing.
func TestDroppedAlertsMakeNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(
		t,
		os.WriteFile(
			path,
			[]byte("policies:\n- {name: quiet, match: ['subject_name=\"web-0\"'], drop: true}\n- {name: default}\n"),
			0o600,
		),
	)
	f := New()
	memory := startOn(t, f, "STORMFOLD_POLICIES", path)
	dropped := f.pod.Load().metrics.dropped
	for _, pod := range []string{"web-0", "web-0", "web-1"} {
		_, err := f.Handle(t.Context(), alertEvent(t, pod, "firing"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, counted(t, dropped))
	require.NoError(t, f.Stop(t.Context()))
	list, err := memory.List(t.Context(), "stormfold", metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, "web-1", list.Items[0].Status.Resources[0].Name)
}
