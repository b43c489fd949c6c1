package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTreeGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"tree.golden":          {},
		"tree-absorbed.golden": {"kube-pod-not-ready-qdblutey7h"},
		"tree.json.golden":     {"kube-node-not-ready-y23hcjqe7o", "-o", "json"},
		"tree-few.golden":      {"kube-node-not-ready-y23hcjqe7o", "--resources", "1"},
		"tree-wide.golden":     {"kube-node-not-ready-y23hcjqe7o", "--resources", "1", "-o", "wide"},
		"tree.yaml.golden":     {"kube-node-not-ready-y23hcjqe7o", "-o", "yaml"},
		"tree-names.golden":    {"-o", "name"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, call(t, "", append([]string{"tree", "-f", "testdata/incidents.yaml"}, args...)...))
		})
	}
}

// Colours are for a terminal; without them the picture is the same.
func TestTreeInColour(t *testing.T) {
	content, err := os.ReadFile("testdata/incidents.yaml")
	require.NoError(t, err)
	plain := call(t, string(content), "tree", "-f", "-").out
	colored := callOn(t, streams{in: strings.NewReader(string(content)), color: true}, "tree", "-f", "-").out
	require.NotContains(t, plain, "\x1b")
	require.Contains(t, colored, "\x1b[31mFiring\x1b[0m")
	require.Contains(t, colored, "\x1b[31m●\x1b[0m worker-3")
	for _, code := range []string{"31", "32", "33", "1", "2", "0"} {
		colored = strings.ReplaceAll(colored, "\x1b["+code+"m", "")
	}
	require.Equal(t, plain, colored)
}

func TestTreeOfNothingThatFires(t *testing.T) {
	incident := "apiVersion: incidents.stormfold.io/v1alpha1\nkind: Incident\nmetadata: {name: a}\nstatus: {state: Resolved}\n---\n"
	require.Equal(t, "No incident is firing.\n", call(t, incident, "tree", "-f", "-").out)
	require.Contains(t, call(t, incident, "tree", "-f", "-", "-o", "json").out, `"incidents": []`)
}

// What is no incident is refused with the place where it stands.
func TestTreeOfSomethingElse(t *testing.T) {
	for in, want := range map[string]string{
		"kind: Pod": `standard input: kind: "Pod" is not Incident`,
		"kind: List\nitems: [{kind: Incident}, {kind: Pod}]": `standard input: items[1]: kind: "Pod" is not Incident`,
		"kind: Incident\nstatus: {alerts: 3}":                `standard input: it is not an Incident: `,
		"- 1":                                                `standard input: it contains something that is not an object`,
		"a: [":                                               `standard input: it is neither YAML nor JSON: `,
	} {
		got := call(t, in, "tree", "-f", "-")
		require.Equal(t, exitError, got.code, in)
		require.Contains(t, got.err, want)
		require.Equal(t, 1, strings.Count(got.err, "\n"), got.err)
	}
}
