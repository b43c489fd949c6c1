package testbed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// onePolicy takes every alert and groups by its name, with periods that are short beside those of the built-in
// policies.
const onePolicy = "policies: [{name: default, groupBy: [cluster, namespace, alertname], threshold: 5, window: 2m, quiet: 5h, cooldown: 5m}]\n"

// OnePolicy is the policy of tests that are about groups of alerts of one name.
func OnePolicy() config.Policies {
	policies, err := config.ParsePolicies([]byte(onePolicy))
	if err != nil {
		panic(err)
	}
	return policies
}

// OnePolicyFile is the path of a file with OnePolicy, for STORMFOLD_POLICIES.
func OnePolicyFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(path, []byte(onePolicy), 0o600))
	return path
}
