// Package deploy tests what is in deploy/: that a real API server takes every piece and overlay, and that what they
// bring into a cluster keeps to the rules of rules_test.go. The definitions of Knative and of the Prometheus operator
// come from their own modules, Knative's in the versions that the testbed pins.
package deploy

import (
	"context"
	"os"
	"testing"

	"github.com/stormfold/stormfold/test/testbed"
)

const root = "../.."

var cluster *testbed.Cluster

func TestMain(m *testing.M) {
	os.Exit(testbed.RunWithControlPlane(m, func(c *testbed.Cluster) error {
		cluster = c
		return testbed.InstallDefinitions(context.Background(), c)
	}))
}
