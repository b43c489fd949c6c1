package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A policy's route changes with all that may send an alert elsewhere, and with nothing else.
func TestRoutes(t *testing.T) {
	routes := func(text string) []string {
		t.Helper()
		p, err := ParsePolicies([]byte(text))
		require.NoError(t, err)
		var out []string
		for _, policy := range p.List {
			out = append(out, policy.Route)
		}
		return out
	}
	const file = `{policies: [{name: a, match: ['x="1"'], groupBy: [zone]}, {name: b, groupBy: [pod]}]}`
	before := routes(file)
	require.NotEqual(t, before[0], before[1])
	require.Equal(
		t,
		before,
		routes(`{policies: [{name: a, match: ['x="1"'], groupBy: [zone], quiet: 20h}, {name: b, groupBy: [pod]}]}`),
	)
	for _, changed := range []string{
		`{policies: [{name: a, match: ['x="2"'], groupBy: [zone]}, {name: b, groupBy: [pod]}]}`,
		`{policies: [{name: a, match: ['x="1"'], groupBy: [node]}, {name: b, groupBy: [pod]}]}`,
		`{policies: [{name: a, match: ['x="1"'], groupBy: [zone], drop: true}, {name: b, groupBy: [pod]}]}`,
		`{policies: [{name: c, match: ['x="1"'], groupBy: [zone]}, {name: b, groupBy: [pod]}]}`,
		`{subjects: [{match: ['job="disks"'], kind: Disk, name: disk}], policies: [{name: a, match: ['x="1"'], groupBy: [zone]}, {name: b, groupBy: [pod]}]}`,
	} {
		after := routes(changed)
		require.NotEqual(t, before[0], after[0], changed)
		require.NotEqual(t, before[1], after[1], changed)
	}
	after := routes(`{policies: [{name: a, match: ['x="1"'], groupBy: [zone]}, {name: b, groupBy: [zone]}]}`)
	require.Equal(t, before[0], after[0], "what comes behind a policy does not concern it")
}
