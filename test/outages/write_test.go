package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/alertmanager"
)

// inTests is where the recordings of the project are from this package.
const inTests = "../../" + own

// The recordings are those that scenarios.go makes: go run ./test/outages -write rewrites them.
func TestTheRecordingsAreTheScenarios(t *testing.T) {
	files, err := ownFiles()
	require.NoError(t, err)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content, err := os.ReadFile(filepath.Join(inTests, name))
		require.NoError(t, err)
		require.Equal(t, string(files[name]), string(content), name)
	}
	written, err := filepath.Glob(filepath.Join(inTests, "*"+truthSuffix))
	require.NoError(t, err)
	require.Len(t, written, len(scenarios)*len(distributions))
}

// Every alert that is recorded is in the truth, with a root, and was reported while or after it fired.
func TestTheTruthHoldsTheRecordedAlerts(t *testing.T) {
	recordings, err := readAll(inTests)
	require.NoError(t, err)
	for _, r := range recordings {
		known := map[string]alert{}
		for _, a := range r.truth.Alerts {
			known[a.Fingerprint] = a
			hasRoot := slices.ContainsFunc(r.truth.Roots, func(root root) bool { return root.ID == a.Root })
			require.True(t, hasRoot, "%s: %v", r.name, a)
		}
		for _, n := range r.notifications {
			for _, told := range n.Batch.Alerts {
				a, there := known[alertmanager.Fingerprint(told.Labels)]
				require.True(t, there, "%s: %v", r.name, told.Labels)
				fired := slices.ContainsFunc(a.Fired, func(s span) bool { return s.From.Equal(told.StartsAt) })
				require.True(t, fired, "%s: %v", r.name, told)
			}
		}
	}
}
