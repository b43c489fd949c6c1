// Package observability tests the dashboard and the alerts: by promtool, and on a real Prometheus that scrapes the
// programs under load.
package observability

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stormfold/stormfold/test/testbed"
)

const root = "../.."

var (
	cluster *testbed.Cluster
	// programs is the directory of the programs that are observed.
	programs string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stormfold-observability-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := testbed.RunWithControlPlane(m, func(c *testbed.Cluster) error {
		cluster, programs = c, dir
		ctx := context.Background()
		build := exec.CommandContext(
			ctx,
			"go",
			append(append([]string{"build"}, raceFlag...), "-o", dir+string(filepath.Separator),
				"./cmd/stormfold", "./cmd/alertmanager-source", "./cmd/dead-letters")...)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building the programs: %w\n%s", err, out)
		}
		if err := c.ApplyPaths(ctx, filepath.Join(root, "deploy/namespace"), filepath.Join(root, "deploy/crd"),
			filepath.Join(root, "deploy/rbac")); err != nil {
			return err
		}
		return c.AwaitCRD(ctx, "incidents.stormfold.io")
	})
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}
