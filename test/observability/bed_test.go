package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// bed is an installation: a Redis, a function, a source, dead letters, and the Prometheus that scrapes them.
type bed struct {
	t          testing.TB
	redis      *testbed.RedisServer
	policies   string
	function   program
	source     program
	letters    program
	prometheus *testbed.PrometheusServer
	// native is one that takes native histograms, and those instead of classic ones.
	native *testbed.PrometheusServer
}

// program is a running one of ours.
type program struct{ url, metrics string }

// policy has room for so little that every limit is met.
const policy = `policies: [{name: narrow, groupBy: [pod], threshold: 2, maxAlerts: 3, maxGroups: 1, flush: {min: 100ms, max: 500ms}}]`

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, redis: testbed.Redis(t, "--maxmemory", "256mb"), policies: filepath.Join(t.TempDir(), "policies.yaml")}
	b.write(policy)
	b.function = b.start(
		"stormfold",
		"/health/readiness",
		"LISTEN_ADDRESS",
		"STORMFOLD_METRICS_ADDRESS",
		"STORMFOLD_REDIS_URL="+b.redis.URL,
		"STORMFOLD_NAMESPACE=stormfold",
		"STORMFOLD_POLICIES="+b.policies,
		"STORMFOLD_POLICIES_RELOAD=1s",
		"STORMFOLD_SWEEP_INTERVAL=1s",
		"KUBECONFIG="+cluster.ServiceAccountKubeconfig(t, "stormfold", "stormfold"),
	)
	b.source = b.start(
		"alertmanager-source",
		"/healthz",
		"STORMFOLD_SOURCE_ADDRESS",
		"STORMFOLD_SOURCE_METRICS_ADDRESS",
		"K_SINK="+b.function.url,
	)
	b.letters = b.start("dead-letters", "/healthz", "ADDRESS", "METRICS_ADDRESS")
	rules, err := filepath.Abs(rulesFile)
	require.NoError(t, err)
	config := fmt.Sprintf(
		"global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n",
		rules,
	)
	for job, p := range map[string]program{"function": b.function, "source": b.source, "dead-letters": b.letters} {
		config += fmt.Sprintf("- job_name: %s\n  static_configs: [{targets: [%q], labels: {namespace: stormfold}}]\n",
			job, strings.TrimPrefix(p.metrics, "http://"))
	}
	b.prometheus = testbed.Prometheus(t, config)
	b.native = testbed.Prometheus(t, config, "--enable-feature=native-histograms")
	return b
}

// start starts a program, with the names of the variables that say where it listens, and waits until it is ready.
func (b *bed) start(name, ready, address, metrics string, env ...string) program {
	b.t.Helper()
	listen, scraped := fmt.Sprintf("127.0.0.1:%d", testbed.Port(b.t)), fmt.Sprintf("127.0.0.1:%d", testbed.Port(b.t))
	process := testbed.Start(
		b.t,
		name,
		append([]string{address + "=" + listen, metrics + "=" + scraped}, env...),
		filepath.Join(programs, name),
	)
	b.t.Cleanup(func() {
		if log, err := process.Log(); err != nil || strings.Contains(log, "DATA RACE") {
			b.t.Errorf("a data race in %s, or no log of it (%v)", name, err)
		}
	})
	p := program{"http://" + listen, "http://" + scraped}
	testbed.Eventually(b.t, time.Minute, name, func(ctx context.Context) error {
		if !process.Running() {
			return fmt.Errorf("%s has ended", name)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+ready, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", response.Status)
		}
		return nil
	})
	return p
}

// write changes the policy file, as a ConfigMap's volume does: at once.
func (b *bed) write(text string) {
	b.t.Helper()
	require.NoError(b.t, os.WriteFile(b.policies+".new", []byte(text), 0o600))
	require.NoError(b.t, os.Rename(b.policies+".new", b.policies))
}

// load sends webhooks until the test ends: alerts about a hundred pods that fire and resolve.
func (b *bed) load() {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	b.t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; {
			select {
			case <-ctx.Done():
				tick.Stop()
			case <-tick.C:
				_, _ = post(ctx, b.source.url, nil, webhook(rand.N(100), "firing")) // Some are refused, as they should be.
				_, _ = post(ctx, b.source.url, nil, webhook(rand.N(100), "resolved"))
			}
		}
	}()
}

// webhook is one of Alertmanager about a pod.
func webhook(pod int, status string) []byte {
	now := time.Now().UTC()
	alert := map[string]any{
		"status": status, "labels": map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": fmt.Sprint("web-",
			pod)},
		"annotations": map[string]string{}, "startsAt": now.Add(-time.Minute), "endsAt": "0001-01-01T00:00:00Z",
	}
	if status == "resolved" {
		alert["endsAt"] = now
	}
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": status, "receiver": "stormfold", "alerts": []any{alert},
	})
	if err != nil {
		panic(err) // It is made of plain values.
	}
	return body
}

// event is the header of a CloudEvent; pairs of name and value change it.
func event(eventType string, pairs ...string) map[string]string {
	header := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": eventType, "Ce-Source": "/test", "Ce-Id": uuid.NewString(),
		"Ce-Time": time.Now().UTC().Format(time.RFC3339Nano),
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		header[pairs[i]] = pairs[i+1]
	}
	return header
}

// post sends JSON and returns the status of the answer.
func post(ctx context.Context, url string, header map[string]string, body []byte) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		request.Header.Set(k, v)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// answered sends and expects a status.
func (b *bed) answered(status int, to string, header map[string]string, body string) {
	b.t.Helper()
	have, err := post(b.t.Context(), to, header, []byte(body))
	require.NoError(b.t, err)
	require.Equal(b.t, status, have)
}
