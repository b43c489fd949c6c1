// Package e2e holds the tests of the whole way, on real servers throughout: two Alertmanagers as a pair, the source,
// Knative's broker and Trigger as deploy/ has them, the function in four processes behind one address, Redis, and the
// API server that holds the incidents in the end. Each test is an installation in a namespace of its own.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// What all tests of this package share.
var (
	cluster   *testbed.Cluster
	eventing  *testbed.EventingServer
	incidents projector.Incidents // As the administrator.

	functionBinary, sourceBinary string
)

const root = "../.."

func TestMain(m *testing.M) {
	var atExit []func() error
	status := testbed.RunWithControlPlane(m, func(c *testbed.Cluster) (err error) {
		cluster = c
		dir, err := os.MkdirTemp("", "stormfold-e2e-")
		if err != nil {
			return err
		}
		atExit = append(atExit, func() error { return os.RemoveAll(dir) })
		for name, path := range map[string]*string{"stormfold": &functionBinary, "alertmanager-source": &sourceBinary} {
			*path = filepath.Join(dir, name)
			build := exec.Command("go", append(append([]string{"build"}, raceFlag...), "-o", *path, "./cmd/"+name)...)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				return fmt.Errorf("build cmd/%s: %w\n%s", name, err, out)
			}
		}
		ctx := context.Background()
		if err := c.ApplyPaths(ctx, filepath.Join(root, "deploy/crd")); err != nil {
			return err
		}
		if err := c.AwaitCRD(ctx, "incidents.stormfold.io"); err != nil {
			return err
		}
		if incidents, err = projector.NewClient(c.Config, 10*time.Second, 1000, 1000); err != nil {
			return err
		}
		if eventing, err = testbed.StartEventing(ctx, c); err != nil {
			return err
		}
		atExit = append(atExit, eventing.Stop)
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
