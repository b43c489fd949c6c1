package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// function is a running function with an incident namespace of its own.
type function struct {
	*testbed.Process
	url, namespace string
	incidents      projector.Incidents
}

// quick has every end of a group soon.
const quick = `policies:
- {name: quick, groupBy: [alertname], threshold: 5, window: 1s, quiet: 2s, cooldown: 0s, retention: 1s, flush: {min: 100ms, max: 200ms}}
`

// startFunction starts the function on a Redis, as the ServiceAccount of deploy/rbac, and waits until it is ready.
func startFunction(t *testing.T, redisURL string, env ...string) *function {
	t.Helper()
	cluster.Apply(t, filepath.Join(root, "deploy/crd"))
	cluster.WaitCRD(t, "incidents.stormfold.io")
	f := &function{namespace: cluster.CreateNamespace(t, "function-")}
	cluster.Apply(t, overlay(t, f.namespace, []string{"rbac"}))
	testbed.Eventually(t, time.Minute, "the function's permissions", func(ctx context.Context) error {
		_, err := cluster.RunKubectl(ctx, "", "auth", "can-i", "list", "incidents.stormfold.io", "--namespace", f.namespace,
			"--as", "system:serviceaccount:"+f.namespace+":stormfold")
		return err
	})
	var err error
	f.incidents, err = projector.NewClient(cluster.Config, 10*time.Second, 1000, 1000)
	require.NoError(t, err)

	dir := t.TempDir()
	binary, policies := filepath.Join(dir, "stormfold"), filepath.Join(dir, "policies.yaml")
	require.NoError(t, os.WriteFile(policies, []byte(quick), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/stormfold")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	address := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	f.url = "http://" + address
	f.Process = testbed.Start(t, "stormfold", append([]string{
		"LISTEN_ADDRESS=" + address, "STORMFOLD_METRICS_ADDRESS=off", "STORMFOLD_REDIS_URL=" + redisURL,
		"STORMFOLD_POLICIES=" + policies,
		"STORMFOLD_NAMESPACE=" + f.namespace, "KUBECONFIG=" + cluster.ServiceAccountKubeconfig(t, f.namespace, "stormfold"),
		"STORMFOLD_SWEEP_INTERVAL=1s",
	}, env...), binary)
	testbed.Eventually(t, time.Minute, "the function", func(ctx context.Context) error {
		if !f.Running() {
			t.Fatal("the function has ended")
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/health/readiness", nil)
		if err != nil {
			return err
		}
		return expect(r, http.StatusOK)
	})
	return f
}

// expect is an error when the answer has another status.
func expect(r *http.Request, status int) error {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != status/100 {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// send delivers a notification of n alerts until it is accepted.
func (f *function) send(t *testing.T, n int, status string) {
	t.Helper()
	var alerts []map[string]any
	for i := range n {
		alerts = append(alerts, map[string]any{
			"status": status, "labels": map[string]string{"alertname": "Test", "pod": fmt.Sprintf("web-%d", i),
				"severity": "warning"},
			"annotations": map[string]string{"summary": "a test"}, "startsAt": "2026-03-01T10:00:00Z",
		})
	}
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": status, "receiver": "test", "externalURL": "http://test",
		"alerts": alerts,
	})
	require.NoError(t, err)
	id, now := uuid.NewString(), time.Now().UTC().Format(time.RFC3339Nano)
	testbed.Eventually(t, time.Minute, "an event to be accepted", func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Time": now, "Ce-Source": "/test",
			"Ce-Type": "io.prometheus.alertmanager.notification.v1",
		} {
			r.Header.Set(name, value)
		}
		return expect(r, http.StatusOK)
	})
}

// list returns the incidents.
func (f *function) list(ctx context.Context) ([]v1alpha1.Incident, error) {
	list, err := f.incidents.List(ctx, f.namespace, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// awaitStorm waits until there is one storm with these counts and nothing else.
func (f *function) awaitStorm(t *testing.T, total, firing int32) {
	t.Helper()
	testbed.Eventually(t, time.Minute, "the storm", func(ctx context.Context) error {
		items, err := f.list(ctx)
		if err != nil {
			return err
		}
		var open []v1alpha1.Incident
		for _, i := range items {
			if i.Status.State == v1alpha1.StateFiring {
				open = append(open, i)
			}
		}
		if len(open) != 1 || open[0].Status.Alerts.Total != total || open[0].Status.Alerts.Firing != firing {
			return fmt.Errorf("%d incidents are open: %+v", len(open), counts(open))
		}
		return nil
	})
}

func counts(items []v1alpha1.Incident) (out []v1alpha1.AlertCounts) {
	for _, i := range items {
		out = append(out, i.Status.Alerts)
	}
	return out
}

// awaitGone waits until every incident's retention is over.
func (f *function) awaitGone(t *testing.T) {
	t.Helper()
	testbed.Eventually(t, time.Minute, "the end of all incidents", func(ctx context.Context) error {
		items, err := f.list(ctx)
		if err == nil && len(items) > 0 {
			err = fmt.Errorf("%d incidents are there", len(items))
		}
		return err
	})
}

// client is a client of the kind that the function makes for a URL.
func client(t *testing.T, address string) redis.UniversalClient {
	t.Helper()
	settings, err := config.Parse(map[string]string{"STORMFOLD_REDIS_URL": address, "STORMFOLD_NAMESPACE": "stormfold"})
	require.NoError(t, err)
	c, err := settings.NewRedis()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// setUser makes the user of deploy/redis/acl on a server that a test started.
func setUser(t *testing.T, admin *redis.Client, name, password string) {
	t.Helper()
	known, err := testbed.FunctionRules()
	require.NoError(t, err)
	args := []any{"ACL", "SETUSER", name, "on", ">" + password}
	for _, rule := range known {
		args = append(args, rule)
	}
	require.NoError(t, admin.Do(t.Context(), args...).Err())
}

func clusterOK(c *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		info, err := c.ClusterInfo(ctx).Result()
		if err == nil && !strings.Contains(info, "cluster_state:ok") {
			err = errors.New(info)
		}
		return err
	}
}

// groupsGone says which keys of groups are left.
func groupsGone(c *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		keys, err := c.Keys(ctx, "{sf:*}:g:*").Result()
		if err == nil && len(keys) > 0 {
			err = fmt.Errorf("there are %v", keys)
		}
		return err
	}
}
