package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

func TestReplayGolden(t *testing.T) {
	policies := "--policies=" + recordings + "policies.yaml"
	for name, args := range map[string][]string{
		"replay-rollout.golden":   {recordings + "rollout.jsonl"},
		"replay-node-down.golden": {recordings + "node-down.json", policies},
		"replay-flapping.golden":  {recordings + "flapping.jsonl", policies, "--incidents", "0"},
		"replay-rollout.json.golden": {recordings + "rollout.jsonl", "--set", "workloads.hold=1m", "--until", "1h", "-o",
			"json"},
		"replay-compare.golden": {
			recordings + "rollout.jsonl", recordings + "node-down.json", recordings + "flapping.jsonl", "--compare",
			recordings + "policies.yaml",
		},
		"replay-compare-set.golden": {recordings + "rollout.jsonl", "--compare-set", "workloads.threshold=20", "--set",
			"workloads.flush.min=2s"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, call(t, "", append([]string{"replay"}, args...)...)) })
	}
}

// The standard input is a recording like any other.
func TestReplayFromStandardInput(t *testing.T) {
	content, err := os.ReadFile(recordings + "rollout.jsonl")
	require.NoError(t, err)
	require.Equal(t, call(t, "", "replay", recordings+"rollout.jsonl").out, call(t, string(content), "replay", "-").out)
}

// With -o json both runs are told in full, and what was changed in each.
func TestReplayCompareForScripts(t *testing.T) {
	got := call(t, "", "replay", recordings+"rollout.jsonl", "--policies", testbed.OnePolicyFile(t), "--set",
		"default.window=5m", "--compare-set", "default.threshold=16", "-o", "json")
	require.Equal(t, exitOK, got.code, got.err)
	var out replayed
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	require.Equal(t, replayVersion, out.APIVersion)
	require.Len(t, out.Runs, 2)
	require.Equal(t, []string{"default.window=5m"}, out.Runs[0].Changes)
	require.Equal(t, []string{"default.window=5m", "default.threshold=16"}, out.Runs[1].Changes)
	require.Equal(t, []int{3, 15}, []int{out.Runs[0].Totals.Incidents, out.Runs[1].Totals.Incidents})
	require.Equal(t, []int{1, 0}, []int{out.Runs[0].Totals.Storms, out.Runs[1].Totals.Storms})
}

// How far a long replay is shows on a terminal, and only there; the result is the same.
func TestProgressOnATerminalOnly(t *testing.T) {
	var recording strings.Builder
	for i := range longReplay {
		fmt.Fprintf(&recording, `{"status":"firing","labels":{"alertname":"A","pod":"p%d"},"startsAt":"%s"}`+"\n",
			i, time.Date(2026, 5, 1, 3, 0, i, 0, time.UTC).Format(time.RFC3339))
	}
	var out [2]outcome
	for i, terminal := range []bool{false, true} {
		out[i] = callOn(t, streams{in: strings.NewReader(recording.String()), errTerminal: terminal}, "replay", "-")
		require.Equal(t, exitOK, out[i].code)
		require.Equal(t, terminal, bytes.Contains([]byte(out[i].err), []byte("replaying")), out[i].err)
	}
	require.Equal(t, out[0].out, out[1].out)
	require.Contains(t, out[0].out, "200 documents with 200 alerts")
}
