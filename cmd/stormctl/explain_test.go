package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

func TestExplainGolden(t *testing.T) {
	policies := "--policies=" + recordings + "policies.yaml"
	for name, args := range map[string][]string{
		"explain.golden": {"alertname=KubePodNotReady", "node=worker-3", "cluster=prod-1", "namespace=shop",
			"pod=cart-7d9f8b6c5d-gx87d", policies},
		"explain-none.golden": {"alertname=DiskFull", "node=worker-3", policies, "--set", "default.groupBy=[team]",
			"--set", "default.window=10m"},
		"explain.json.golden":    {"alertname=KubePodNotReady", "namespace=shop", "service=checkout", policies, "-o", "json"},
		"explain-first.golden":   {"alertname=HighLatency", "namespace=shop", policies},
		"explain-builtin.golden": {"alertname=HighLatency", "namespace=shop"},
		"explain-pod.golden": {"alertname=KubePodNotReady", "cluster=prod-1", "namespace=shop",
			"pod=cart-7d9f8b6c5d-gx87d"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, call(t, "", append([]string{"explain"}, args...)...)) })
	}
}

// Labels and whole alerts come from the standard input as well, and are the same alert.
func TestExplainFromStandardInput(t *testing.T) {
	want := call(t, "", "explain", "alertname=A", "pod=web-0")
	require.Equal(t, want, call(t, `{"alertname":"A","pod":"web-0"}`, "explain", "-"))
	require.Equal(t, want, call(t, `{"status":"resolved","labels":{"alertname":"A","pod":"web-0"}}`, "explain"))
	require.Contains(t, call(t, `{"labels":{"a":1}}`, "explain", "-").err,
		"standard input: labels: it is not an object of strings")
	require.Contains(t, call(t, `{"labels":`, "explain", "-").err, "standard input: it is not a JSON object: ")
}

// The state of a group on a real Redis, from an unknown group to a storm. The question changes nothing.
func TestExplainWithRedis(t *testing.T) {
	one := testbed.OnePolicyFile(t)
	server := testbed.Redis(t)
	a := aggregator.New(aggregator.Options{Redis: server.Client(), Lease: 20 * time.Second})
	require.NoError(t, a.Load(t.Context()))
	ask := func() *groupStatus {
		t.Helper()
		before := changes(t, server)
		got := call(t, "", "explain", "alertname=PodDown", "namespace=shop", "pod=web-0", "--policies", one, "--redis",
			server.URL, "-o", "json")
		require.Equal(t, exitOK, got.code, got.err)
		require.Equal(t, before, changes(t, server))
		var out explained
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		require.NotNil(t, out.Redis)
		return out.Redis
	}
	text := func() string {
		t.Helper()
		return call(t, "", "explain", "alertname=PodDown", "namespace=shop", "pod=web-0", "--policies", one, "--redis",
			server.URL).out
	}
	fold := func(from, to int, status aggregator.Status) {
		t.Helper()
		var batch aggregator.Batch
		for i := from; i < to; i++ {
			got := call(t, "", "explain", "alertname=PodDown", "namespace=shop", fmt.Sprint("pod=web-", i), "-o",
				"json")
			var out explained
			require.NoError(t, json.Unmarshal([]byte(got.out), &out))
			batch.Alerts = append(batch.Alerts, aggregator.Alert{
				Fingerprint: out.Alert.Fingerprint, Status: status, Labels: out.Alert.Labels, StartsAt: time.Now(),
				NotifiedAt: time.Now(),
			})
		}
		_, err := a.Fold(t.Context(), aggregator.Split(testbed.OnePolicy(), batch),
			func(aggregator.Group) string { return "stormfold" })
		require.NoError(t, err)
	}

	require.Equal(t, "unknown", ask().State)
	require.Contains(t, text(), "unknown: nothing has been imported from Kubernetes yet")
	for shard := range aggregator.Shards {
		i, err := a.BeginImport(t.Context(), shard, "", time.Second)
		require.NoError(t, err)
		require.NoError(t, a.FinishImport(t.Context(), i))
	}
	require.Contains(t, text(), "unknown: Redis has no such group")

	fold(0, 3, aggregator.Firing)
	s := ask()
	require.Equal(t, "calm", s.State)
	require.Equal(t, []int{3, 5, 3}, []int{s.Window, s.Threshold, s.Singles})
	require.Zero(t, s.WindowLeftSeconds, "they count as long as they fire")
	require.Equal(t, "firing", s.Alert.Status)
	require.NotEmpty(t, s.Alert.Incident)
	require.Regexp(t, `towards a storm +3 of 5 alerts\n`, text())

	fold(2, 3, aggregator.Resolved)
	s = ask()
	require.Equal(t, []int{3, 5, 2}, []int{s.Window, s.Threshold, s.Singles})
	require.InDelta(t, 120, s.WindowLeftSeconds, 20)
	require.Contains(t, text(), "3 of 5 alerts; the oldest resolved one counts for another ")

	fold(0, 8, aggregator.Firing)
	s = ask()
	require.Equal(t, "storm", s.State)
	require.Equal(t, []int{8, 8}, []int{s.Total, s.Firing})
	require.True(t, s.Alert.Member)
	require.Equal(t, s.Storm, s.Alert.Incident)
	require.Contains(t, text(), "storm: it crossed its threshold")

	fold(0, 8, aggregator.Resolved)
	s = ask()
	require.Equal(t, "cool", s.State)
	require.InDelta(t, 300, s.CooldownUntil.Sub(s.Now).Seconds(), 20)
	require.Contains(t, text(), "an alert that fires before ")
}

// An installation with a prefix of its own is found under that prefix, whether a flag or the function's setting names
// it.
func TestExplainWithAPrefix(t *testing.T) {
	server := testbed.Redis(t)
	a := aggregator.New(aggregator.Options{Redis: server.Client(), Prefix: "blue-2", Lease: 20 * time.Second})
	require.NoError(t, a.Load(t.Context()))
	for shard := range aggregator.Shards {
		i, err := a.BeginImport(t.Context(), shard, "", time.Second)
		require.NoError(t, err)
		require.NoError(t, a.FinishImport(t.Context(), i))
	}
	ask := func(args ...string) explained {
		t.Helper()
		got := call(t, "", append([]string{"explain", "alertname=A", "--redis", server.URL, "-o", "json"}, args...)...)
		require.Equal(t, exitOK, got.code, got.err)
		var out explained
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		return out
	}
	require.False(t, ask().Redis.Imported)
	out := ask("--redis-prefix", "blue-2")
	require.True(t, out.Redis.Imported)
	require.Equal(t, fmt.Sprintf("{blue-2:%02d}:g:%s", out.Group.Shard, out.Group.ID), out.Group.Keys[0])
	t.Setenv("STORMFOLD_REDIS_PREFIX", "blue-2")
	require.True(t, ask().Redis.Imported)

	got := call(t, "", "explain", "alertname=A", "--redis-prefix", "A:")
	require.Equal(t, exitUsage, got.code)
	require.Contains(
		t,
		got.err,
		`--redis-prefix, or STORMFOLD_REDIS_PREFIX: "A:" is not a prefix, which has 1 to 32 of a-z, 0-9 and -, for instance sf`,
	)
}

// The alerts of a policy that has too many groups are in its overflow group, and found there.
func TestExplainFindsTheOverflowGroup(t *testing.T) {
	server := testbed.Redis(t)
	a := aggregator.New(aggregator.Options{Redis: server.Client(), Lease: 20 * time.Second})
	require.NoError(t, a.Load(t.Context()))
	policies, err := testbed.OnePolicy().With("default.maxGroups=1")
	require.NoError(t, err)
	shards := map[int]bool{}
	for i := range 100 {
		name := fmt.Sprint("A", i)
		got := call(t, "", "explain", "alertname="+name, "-o", "json")
		var out explained
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		batch := aggregator.Batch{Alerts: []aggregator.Alert{{
			Fingerprint: out.Alert.Fingerprint, Status: aggregator.Firing, Labels: out.Alert.Labels,
			StartsAt: time.Now(), NotifiedAt: time.Now(),
		}}}
		shard := out.Group.Shard
		if !shards[shard] {
			i, err := a.BeginImport(t.Context(), shard, "", time.Second)
			require.NoError(t, err)
			require.NoError(t, a.FinishImport(t.Context(), i))
		}
		_, err := a.Fold(t.Context(), aggregator.Split(policies, batch),
			func(aggregator.Group) string { return "stormfold" })
		require.NoError(t, err)
		if shards[shard] {
			require.Contains(t, call(t, "", "explain", "alertname="+name, "--redis", server.URL).out,
				"in the policy's overflow group "+out.Group.Overflow)
			return
		}
		shards[shard] = true
	}
	t.Fatal("of a hundred groups no two were in one shard")
}

// changes is how often anything in a Redis was changed.
func changes(t *testing.T, server *testbed.RedisServer) string {
	t.Helper()
	info, err := server.Client().Info(t.Context(), "persistence").Result()
	require.NoError(t, err)
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(line, "rdb_changes_since_last_save:"); ok {
			return n
		}
	}
	t.Fatal("Redis does not tell how often it was changed")
	return ""
}
