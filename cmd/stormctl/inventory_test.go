package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/replay"
)

// With an inventory, the pods of a node that dies are part of the node's outage. Without one, only their time joins
// them.
func TestReplayWithAnInventory(t *testing.T) {
	const recording = recordings + "node-dies.kube-prometheus"
	outages := func(args ...string) []string {
		got := call(t, "", append([]string{"replay", recording + ".jsonl", "-o", "json"}, args...)...)
		require.Equal(t, exitOK, got.code, got.err)
		var out struct {
			Runs []struct {
				Outages []struct {
					Policy string `json:"policy"`
				} `json:"outages"`
			} `json:"runs"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		var policies []string
		for _, o := range out.Runs[0].Outages {
			policies = append(policies, o.Policy)
		}
		return policies
	}
	require.Equal(t, []string{"many-namespaces"}, outages())
	require.Equal(t, []string{"node"}, outages("--inventory", recording+".topology.json"))
}

func TestInventoryThatCannotBeRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list.json")
	require.NoError(t, os.WriteFile(file, []byte(`[]`), 0o600))
	for name, want := range map[string]string{
		"/nowhere/x": "/nowhere/x cannot be read: no such file or directory",
		file:         file + ": an inventory has nodes {name: {address, zone}} and pods {namespace/name: {node, owner}}",
	} {
		got := call(t, "", "replay", recordings+"rollout.jsonl", "--inventory", name)
		require.NotEqual(t, exitOK, got.code)
		require.Contains(t, got.err, want)
	}
}

// What a source added to an alert stays in the recording, and is what replay reads.
func TestRecordKeepsLookups(t *testing.T) {
	const body = `{"version":"4","later":[1],"alerts":[{"status":"firing","labels":{"pod":"a"},` +
		`"startsAt":"2026-03-01T10:15:30Z","lookups":{"node":"n1","rack":"7"}}]}`
	var file strings.Builder
	w := httptest.NewRecorder()
	(&recorder{out: &file, now: time.Now}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, file.String(), `"data":`+body+`}`)
	notifications, err := replay.Read("file", []byte(file.String()))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"node": "n1"}, notifications[0].Batch.Alerts[0].Lookups)
}
