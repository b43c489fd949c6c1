package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// What the built-in policies have to make of the project's own recordings.
func TestTargets(t *testing.T) {
	recordings, err := readAll(inTests)
	require.NoError(t, err)
	for _, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			row, err := measure(t.Context(), r, config.Default())
			require.NoError(t, err)
			t.Logf("%+v", row)
			check(t, r, row)
		})
	}
}

// With look-ups, each cause of the project's own recordings is one root, and nothing else is part of it.
func TestRoots(t *testing.T) {
	recordings, err := readAll(inTests)
	require.NoError(t, err)
	require.NoError(t, lookUps(inTests, recordings))
	for _, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			row, err := measure(t.Context(), r, config.Default())
			require.NoError(t, err)
			require.Equal(t, []int{row.Roots, 0, 0}, []int{row.RootsLeft, row.MixedRoots, row.NoiseInside}, "%+v", row)
			require.GreaterOrEqual(t, row.ARIOfRoots, 0.95)
		})
	}
}

// check compares a row with the targets.
func check(t *testing.T, r recording, row Row) {
	t.Helper()
	type counts struct{ wrongSubjects, wrongMerges, endedWhileFiring, openedAnew int }
	if got := (counts{row.WrongSubjects, row.WrongMerges, row.EndedWhileFiring, row.OpenedAnew}); got != (counts{}) {
		t.Errorf("there is to be nothing wrong: %+v", got)
	}
	most := 0
	switch r.truth.Scenario {
	case "node-dies":
		most = len(r.cluster.owners(r.truth.Alerts, "node"))
	case "rollout-stuck":
		most = 2
	case "flapping":
		most = 1
	default:
		return
	}
	if row.OfTheOutage > most {
		t.Errorf("%d incidents of the outage, where at most %d are right", row.OfTheOutage, most)
	}
}
