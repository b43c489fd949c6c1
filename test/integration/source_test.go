package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// buildSource builds the source once for all tests, beside the function.
var buildSource = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "alertmanager-source")
	build := exec.Command("go", append(append([]string{"build"}, raceFlag...), "-o", path, "./cmd/alertmanager-source")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building cmd/alertmanager-source: %w\n%s", err, out)
	}
	return path, nil
})

// sourceProcess is a running alertmanager-source.
type sourceProcess struct {
	*testbed.Process
	url, metrics string
}

func startSource(t testing.TB, sink string, env ...string) *sourceProcess {
	t.Helper()
	path, err := buildSource()
	require.NoError(t, err)
	listen, metrics := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)), fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	process := testbed.Start(t, "alertmanager-source", append([]string{
		"K_SINK=" + sink, "STORMFOLD_SOURCE_ADDRESS=" + listen, "STORMFOLD_SOURCE_METRICS_ADDRESS=" + metrics,
	}, env...), path)
	t.Cleanup(func() {
		log, err := process.Log()
		if err != nil || strings.Contains(log, "DATA RACE") {
			t.Errorf("a data race in the source, or no log of it (%v):\n%s", err, log)
		}
	})
	s := &sourceProcess{Process: process, url: "http://" + listen, metrics: "http://" + metrics + "/metrics"}
	eventually(t, 30*time.Second, func() error {
		if !s.Running() {
			return errEnded
		}
		r, err := http.Get(s.url + "/healthz")
		if err != nil {
			return err
		}
		return r.Body.Close()
	})
	return s
}

// count is the sum of a process' metric over the series that have these labels, pairs of name and value.
func count(t testing.TB, metrics, name string, labels ...string) float64 {
	t.Helper()
	r, err := http.Get(metrics)
	require.NoError(t, err)
	defer r.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r.Body)
	require.NoError(t, err)
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		matching := 0
		for _, label := range m.GetLabel() {
			for i := 0; i+1 < len(labels); i += 2 {
				if label.GetName() == labels[i] && label.GetValue() == labels[i+1] {
					matching++
				}
			}
		}
		if 2*matching == len(labels) {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// long gives alerts a description, so that many of them need several events.
func long(alerts []map[string]any) []map[string]any {
	for _, a := range alerts {
		a["annotations"].(map[string]string)["description"] = strings.Repeat("All of it is broken. ", 20)
	}
	return alerts
}

// TestSourceInChunks: the events of a large notification are one storm.
func TestSourceInChunks(t *testing.T) {
	p := startPod(t)
	s := newScene(t, p)
	src := startSource(t, p.url)
	webhook := func(status string) {
		body, err := json.Marshal(notification(long(s.pods("PodDown", 500, status))...))
		require.NoError(t, err)
		response, text := exchange(t, http.MethodPost, src.url, nil, body)
		require.Equal(t, http.StatusOK, response.StatusCode, text)
	}
	webhook("firing")
	i := s.awaitOne(500, 500, 0)
	require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
	require.EqualValues(t, 500, i.Status.ResourceCount)
	require.False(t, i.Status.Truncated)
	sent := count(t, src.metrics, "stormfold_source_events_total", "result", "ok")
	require.GreaterOrEqual(t, sent, 5.0, "more than 64 KiB")
	require.Equal(t, 500.0, count(t, src.metrics, "stormfold_source_alerts_total"))
	webhook("firing")
	webhook("resolved")
	require.Equal(t, i.UID, s.awaitOne(500, 0, 500).UID)
}

// TestSourceTellsAStormOfThousands: one webhook of 5,000 alerts and more than 4 MiB is one storm of all of them.
func TestSourceTellsAStormOfThousands(t *testing.T) {
	p := startPod(t)
	s := newScene(t, p)
	src := startSource(t, p.url, "STORMFOLD_SOURCE_REQUEST_TIMEOUT=2m")
	webhook := func(status string) {
		alerts := long(s.pods("PodDown", 5000, status))
		for _, a := range alerts {
			a["annotations"].(map[string]string)["description"] += strings.Repeat("x", 300)
		}
		body, err := json.Marshal(notification(alerts...))
		require.NoError(t, err)
		require.Greater(t, len(body), 4<<20)
		response, text := exchange(t, http.MethodPost, src.url, nil, body)
		require.Equal(t, http.StatusOK, response.StatusCode, text)
	}
	webhook("firing")
	i := s.awaitOne(5000, 5000, 0)
	require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
	require.EqualValues(t, 5000, i.Status.ResourceCount)
	require.Equal(t, 5000.0, count(t, src.metrics, "stormfold_source_alerts_total"))
	webhook("resolved")
	require.EqualValues(t, 5000, s.ended(v1alpha1.ReasonAllResolved).Status.Alerts.Resolved, "the counts are complete")
}

// front passes events on to the function, and refuses those that fails names, counted from 1.
type front struct {
	*httptest.Server
	seen atomic.Int64
}

func newFront(t testing.TB, to string, fails func(n int64) bool) *front {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(target)
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails(f.seen.Add(1)) {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// TestSourceStopsAfterWhatItAccepted: at SIGTERM the process completes a notification of many events.
func TestSourceStopsAfterWhatItAccepted(t *testing.T) {
	p := startPod(t)
	s := newScene(t, p)
	begun, wait := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(wait) })
	f := newFront(t, p.url, func(n int64) bool {
		if n == 2 {
			close(begun)
			<-wait
		}
		return false
	})
	t.Cleanup(release) // Whatever fails here, the front can be closed.
	src := startSource(t, f.URL)
	body, err := json.Marshal(notification(long(s.pods("PodDown", 500, "firing"))...))
	require.NoError(t, err)
	answered := make(chan int, 1)
	go func() {
		r, err := http.Post(src.url, "application/json", bytes.NewReader(body))
		if err != nil {
			answered <- 0
			return
		}
		_ = r.Body.Close()
		answered <- r.StatusCode
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- src.Stop() }()
	eventually(t, 10*time.Second, func() error {
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(src.url + "/healthz")
		if err == nil {
			_ = r.Body.Close()
			return fmt.Errorf("it still takes connections")
		}
		return nil
	})
	release()
	require.Equal(t, http.StatusOK, <-answered)
	require.NoError(t, <-stopped)
	require.NoError(t, src.Wait(), "exit status 0")
	s.awaitOne(500, 500, 0)
}

// TestAlertmanagerPair: two Alertmanagers that have lost sight of each other both send all there is, and it is one
// incident with exact counts.
func TestAlertmanagerPair(t *testing.T) {
	for name, c := range map[string]struct {
		alerts int
		fails  func(n int64) bool
	}{
		"15 alerts": {15, func(int64) bool { return false }},
		// Each Alertmanager's first attempts break off half-way through their events.
		"500 alerts, and a sink that fails half-way": {500, func(n int64) bool { return n == 3 || n == 6 || n == 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPod(t)
			s := newScene(t, p)
			f := newFront(t, p.url, c.fails)
			src := startSource(t, f.URL)
			pair := testbed.StartedAlertmanagerPair(t, fmt.Sprintf(`
route: {receiver: stormfold, group_by: [alertname, namespace], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: stormfold
    webhook_configs: [{url: "%s/", send_resolved: true}]
`, src.url), "--cluster.peer-timeout=1s")
			notified := func() (sent [2]float64) {
				for i, member := range pair.Members {
					sent[i] = count(t, member.URL+"/metrics", "alertmanager_notifications_total", "integration", "webhook") -
						count(t, member.URL+"/metrics", "alertmanager_notifications_failed_total", "integration", "webhook")
				}
				return sent
			}
			// bothNotify waits until each of the two has had a notification of its own accepted since before.
			bothNotify := func(before [2]float64) {
				t.Helper()
				eventually(t, 60*time.Second, func() error {
					if now := notified(); now[0] <= before[0] || now[1] <= before[1] {
						return fmt.Errorf("notifications of both: before %v, now %v", before, now)
					}
					return nil
				})
			}
			pair.Cut()
			before := notified()
			s.toAlertmanagers(pair, long(s.pods("PodDown", c.alerts, "firing")))
			bothNotify(before)
			all := int32(c.alerts)
			i := s.awaitOne(all, all, 0)
			require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
			require.EqualValues(t, c.alerts, i.Status.ResourceCount)

			before = notified()
			s.toAlertmanagers(pair, long(s.pods("PodDown", c.alerts/2, "resolved")))
			bothNotify(before)
			require.Equal(t, i.UID, s.awaitOne(all, all-all/2, all/2).UID)

			before = notified()
			s.toAlertmanagers(pair, long(s.pods("PodDown", c.alerts, "resolved")))
			bothNotify(before)
			i = s.awaitOne(all, 0, all)
			require.Equal(t, v1alpha1.StateResolved, i.Status.State)
			require.Zero(t, i.Status.Reopened)

			refused := count(t, src.metrics, "stormfold_source_notifications_total", "result", "sink_unavailable")
			if c.fails(3) {
				require.Equal(t, 3.0, refused, "three attempts broke off")
			} else {
				require.Zero(t, refused)
			}
		})
	}
}

// toAlertmanagers hands alerts to both of a pair, as Prometheus does.
func (s *scene) toAlertmanagers(pair *testbed.AlertmanagerPair, alerts []map[string]any) {
	s.t.Helper()
	for _, a := range alerts {
		if a["status"] == "firing" {
			a["endsAt"] = time.Now().UTC().Add(time.Hour).Format(time.RFC3339Nano)
		}
	}
	body, err := json.Marshal(alerts)
	require.NoError(s.t, err)
	for _, member := range pair.Members {
		response, text := exchange(
			s.t,
			http.MethodPost,
			member.URL+"/api/v2/alerts",
			map[string]string{"Content-Type": "application/json"},
			body,
		)
		require.Equal(s.t, http.StatusOK, response.StatusCode, text)
	}
}
