// Package integration holds the tests of the whole function: a process of its own, called over HTTP as its runtime
// serves it, with a real Redis, a real API server, and the token of the ServiceAccount in deploy/.
package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// The servers of this package's tests.
var (
	cluster   *testbed.Cluster
	redis     *testbed.RedisServer
	binary    string
	incidents projector.Incidents // As the administrator.
)

const root = "../.."

func TestMain(m *testing.M) {
	status := testbed.RunWithControlPlane(m, func(c *testbed.Cluster) (err error) {
		cluster = c
		dir, err := os.MkdirTemp("", "stormfold-integration-")
		if err != nil {
			return err
		}
		atExit = append(atExit, func() error { return os.RemoveAll(dir) })
		if redis, err = testbed.StartRedis(dir); err != nil {
			return err
		}
		atExit = append(atExit, redis.Close)
		if err := c.ApplyPaths(context.Background(), filepath.Join(root, "deploy/namespace"), filepath.Join(root,
			"deploy/crd"),
			filepath.Join(root, "deploy/rbac")); err != nil {
			return err
		}
		if err := c.AwaitCRD(context.Background(), "incidents.stormfold.io"); err != nil {
			return err
		}
		if incidents, err = projector.NewClient(c.Config, 10*time.Second, 1000, 1000); err != nil {
			return err
		}
		binary = filepath.Join(dir, "stormfold")
		build := exec.Command("go", append(append([]string{"build"}, raceFlag...), "-o", binary, "./cmd/stormfold")...)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building cmd/stormfold: %w\n%s", err, out)
		}
		return nil
	})
	for _, f := range slices.Backward(atExit) {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// atExit undoes what TestMain did, the last first.
var atExit []func() error

// pod is a running function.
type pod struct {
	*testbed.Process
	url, metrics string
}

// startPod starts the function as a process, under the ServiceAccount of deploy/, and waits until it is ready.
func startPod(t testing.TB, env ...string) *pod {
	t.Helper()
	p := launchPod(t, env...)
	p.awaitReady(t)
	return p
}

func launchPod(t testing.TB, env ...string) *pod {
	t.Helper()
	listen, metrics := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)), fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	all := append([]string{
		"LISTEN_ADDRESS=" + listen, "STORMFOLD_METRICS_ADDRESS=" + metrics, "STORMFOLD_REDIS_URL=" + redis.URL,
		"STORMFOLD_POLICIES=" + testbed.OnePolicyFile(
			t,
		), "STORMFOLD_NAMESPACE=stormfold", "KUBECONFIG=" + cluster.ServiceAccountKubeconfig(t, "stormfold", "stormfold"),
	}, env...)
	process := testbed.Start(t, "stormfold", all, binary)
	t.Cleanup(func() {
		log, err := process.Log()
		if err != nil || strings.Contains(log, "DATA RACE") {
			t.Errorf("a data race in the function, or no log of it (%v):\n%s", err, log)
		}
	})
	return &pod{
		Process: process, url: "http://" + listen, metrics: "http://" + metrics + "/metrics",
	}
}

func (p *pod) awaitReady(t testing.TB) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if !p.Running() {
			return errEnded
		}
		r, err := http.Get(p.url + "/health/readiness")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", r.Status)
		}
		return nil
	})
}

var errEnded = errors.New("the function's process has ended")

// eventually polls until check succeeds, and fails with its last error when time is up.
func eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if errors.Is(err, errEnded) || time.Now().After(deadline) {
			t.Fatalf("after %s: %v", within, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
