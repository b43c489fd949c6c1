package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestTryIt does what README's first commands do, and points a real Alertmanager at what they start.
func TestTryIt(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "dev")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)) }
	webhook := address()
	env := []string{
		"LISTEN_ADDRESS=" + address(), webhookVariable + "=" + webhook, "STORMFOLD_METRICS_ADDRESS=" + address(),
	}
	for _, name := range []string{"STORMFOLD_REDIS_URL", "KUBECONFIG"} {
		t.Setenv(name, "") // So that it comes back after the test.
		require.NoError(t, os.Unsetenv(name))
	}
	run := testbed.Start(t, "dev-run", env, binary, "run")
	shows := func(pattern string) {
		t.Helper()
		require.Eventually(t, func() bool {
			log, err := run.Log()
			return err == nil && regexp.MustCompile(pattern).MatchString(log)
		}, 30*time.Second, 20*time.Millisecond, pattern)
	}
	shows(`Stormfold is ready .*Redis: embedded, Kubernetes: embedded`)

	storm := exec.Command(binary, "storm")
	storm.Env = append(os.Environ(), env...)
	out, err = storm.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "sent 15 alerts")
	shows(`kube-pod-crash-looping-\w+ +Storm +KubePodCrashLooping +shop +critical +15 +15 +Firing`)

	am := testbed.Alertmanager(t, fmt.Sprintf(`
route: {receiver: stormfold, group_by: [alertname], group_wait: 100ms, group_interval: 1s}
receivers:
- name: stormfold
  webhook_configs: [{url: "http://%s", send_resolved: true}]
`, webhook))
	body, err := json.Marshal([]map[string]any{{"labels": map[string]string{"alertname": "DiskFull", "instance": "db-0"}}})
	require.NoError(t, err)
	response, err := http.Post(am.URL+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	shows(`disk-full-\w+ +Alert +DiskFull +- +1 +1 +Firing`)
	require.NoError(t, run.Stop())
}

func TestStormWithoutAFunction(t *testing.T) {
	t.Setenv("LISTEN_ADDRESS", fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)))
	require.ErrorContains(t, storm(t.Context()), "start make run in another terminal")
}
