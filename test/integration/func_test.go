package integration

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// TestFuncCLI: make func-run and make func-invoke work with the real func CLI. It builds from a copy of the tree, since
// func writes its scaffolding beside func.yaml.
func TestFuncCLI(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Fatal("install make: the test runs the Makefile's targets")
	}
	tree := copyTree(t)
	address := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	env := []string{
		"FUNC_ADDRESS=" + address, "STORMFOLD_METRICS_ADDRESS=off", "STORMFOLD_NAMESPACE=stormfold", "STORMFOLD_REDIS_URL=" +
			redis.URL,
		"KUBECONFIG=" + cluster.ServiceAccountKubeconfig(t, "stormfold", "stormfold"), "XDG_CONFIG_HOME=" + t.TempDir(),
	}
	before := time.Now()
	run := testbed.FuncRun(t, tree, env...)
	eventually(t, time.Minute, func() error {
		if !run.Running() {
			return errEnded
		}
		r, err := http.Get("http://" + address + "/health/readiness")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", r.Status)
		}
		return nil
	})
	t.Logf("ready after %s", time.Since(before).Round(time.Millisecond))

	invoke := exec.CommandContext(t.Context(), "make", "-C", tree, "func-invoke")
	invoke.Env = append(os.Environ(), env...)
	out, err := invoke.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "type: io.stormfold.incident.opened.v1")
	list, err := incidents.List(
		t.Context(),
		"stormfold",
		metav1.ListOptions{LabelSelector: v1alpha1.LabelAlertName + "=FuncInvoke"},
	)
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Contains(t, string(out), "subject: "+list.Items[0].Name)
	require.Equal(t, v1alpha1.AlertCounts{Total: 1, Firing: 1}, list.Items[0].Status.Alerts)

	require.NoError(t, run.Stop())
	log, err := run.Log()
	require.NoError(t, err)
	require.Contains(t, log, "function stopping")
	_, err = http.Get("http://" + address)
	require.Error(t, err, "what func started is gone")
}

// copyTree copies what the build needs: everything but hidden directories and the tests' own data.
func copyTree(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if relative != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || relative == "bin") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), content, 0o644)
	}))
	return to
}
