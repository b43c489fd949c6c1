package aggregator

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/test/testbed"
)

// twoServers are a master and its replica, which has caught up.
func twoServers(t *testing.T) (master, replica *testbed.RedisServer) {
	t.Helper()
	// Without the pause that a master makes for further replicas before the first copy.
	master = testbed.Redis(t, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr)
	require.NoError(t, err)
	replica = testbed.Redis(t, "--replicaof", host, port)
	require.Eventually(t, func() bool {
		require.NoError(t, master.Client().Set(t.Context(), "x", "", 0).Err())
		n, err := master.Client().Wait(t.Context(), 1, time.Second).Result()
		return err == nil && n == 1
	}, 30*time.Second, 10*time.Millisecond, "the replica never catches up")
	return master, replica
}

// waiting is a lab whose folds wait for a replica.
func waiting(t *testing.T, rdb *redis.Client) *lab {
	l := &lab{
		t:       t,
		ctx:     t.Context(),
		now:     epoch,
		rdb:     rdb,
		policy:  testbed.OnePolicy().List[0],
		objects: map[string]Object{},
	}
	l.policy.GroupBy = []string{"alertname"}
	l.Aggregator = New(Options{
		Redis: rdb, Lease: 20 * time.Second, Clock: func() time.Time { return l.now }, Replicas: 1,
		ReplicaTimeout: 300 * time.Millisecond,
	})
	require.NoError(t, l.Load(l.ctx))
	l.imported()
	return l
}

// A fold returns once a replica has it. One that a replica never gets is an error, and the next delivery, which changes
// nothing any more, is one too: until the replica is back.
func TestFoldWaitsForReplicas(t *testing.T) {
	master, replica := twoServers(t)
	l := waiting(t, master.Client())
	one := Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: []Alert{l.alert("web-0", Firing)}})
	namespace := func(Group) string { return "stormfold" }

	folded, err := l.Fold(l.ctx, one, namespace)
	require.NoError(t, err)
	require.True(t, folded[0].Changed)
	group := replica.Client().HGet(l.ctx, l.keys.group(one[0].ID).hash, "revision")
	require.NoError(t, group.Err(), "the replica has the group when the fold returns")
	l.flush(folded[0].Group, folded[0].Token)

	l.now = l.now.Add(time.Minute)
	many := l.pods(300, Firing) // Two calls.
	require.NoError(t, replica.Pause())
	folded, err = l.Fold(l.ctx, Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: many}), namespace)
	require.ErrorIs(t, err, ErrReplicas)
	require.NotErrorIs(t, err, ErrUnavailable)
	require.Len(t, folded, 1)
	require.ErrorIs(t, folded[0].Err, ErrReplicas)
	require.True(t, folded[0].Changed, "the master has taken the alerts: what follows from them must not be forgotten")
	require.NotEmpty(t, folded[0].Token)
	require.NotEmpty(t, folded[0].Transitions)

	// So has a group of earlier policies that has none of them, and the others go on to their own.
	other := Kind{Policy: "earlier", GroupBy: []string{"pod"}}
	older := OlderGroups([]Kind{other}, Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: many[:2]}))
	require.ErrorIs(t, l.FoldOlder(l.ctx, &older), ErrReplicas)
	require.Len(t, older.Rest, 1)
	require.Len(t, older.Rest[0].Alerts, 2)

	// The same event in the same millisecond changes nothing, on whatever connection: there is something to wait for
	// anyway.
	for range 3 {
		folded, err = l.Fold(
			l.ctx,
			Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: many[:1]}),
			namespace,
		)
		require.ErrorIs(t, err, ErrReplicas)
		require.False(t, folded[0].Changed)
	}
	require.NoError(t, replica.Resume())
	require.Eventually(t, func() bool {
		folded, err = l.Fold(l.ctx, Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: many}), namespace)
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "%v", err)
	require.False(t, folded[0].Changed)
	require.Equal(t, 300, folded[0].Firing)
}

// Scripts that Redis has forgotten are sent again with their text, and waited for as well.
func TestFoldWaitsForReplicasAfterAScriptFlush(t *testing.T) {
	master, replica := twoServers(t)
	l := waiting(t, master.Client())
	for _, pause := range []bool{false, true} {
		require.NoError(t, master.Client().ScriptFlush(l.ctx).Err())
		if pause {
			require.NoError(t, replica.Pause())
		}
		_, err := l.Fold(
			l.ctx,
			Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(2, Firing)}),
			func(Group) string { return "" },
		)
		if pause {
			require.ErrorIs(t, err, ErrReplicas)
		} else {
			require.NoError(t, err)
		}
	}
	require.NoError(t, replica.Resume())
}

// On a cluster each master is waited for. These have no replicas, so that every fold is short of one.
func TestFoldWaitsOnEachMasterOfACluster(t *testing.T) {
	cluster := testbed.RedisClusterOf(t, 2, 0)
	policy := testbed.OnePolicy().List[0]
	var alerts []Alert
	l := &lab{now: epoch}
	for i := range 20 { // Groups in shards of both masters.
		a := l.alert("web-0", Firing)
		a.Labels["namespace"] = fmt.Sprintf("shop-%d", i)
		alerts = append(alerts, a)
	}
	groups := Split(config.Policies{List: []config.Policy{policy}}, Batch{Alerts: alerts})
	for replicas, want := range map[int]error{0: nil, 1: ErrReplicas} {
		a := New(Options{
			Redis: cluster.Client, Lease: 20 * time.Second, Clock: func() time.Time { return epoch }, Replicas: replicas,
			ReplicaTimeout: 50 * time.Millisecond,
		})
		require.NoError(t, a.Load(t.Context()))
		folded, err := a.Fold(t.Context(), groups, func(Group) string { return "stormfold" })
		if want == nil {
			require.NoError(t, err)
		}
		for i, f := range folded {
			require.ErrorIs(t, f.Err, want)
			require.Equal(t, groups[i].ID, f.Group, "every master has taken its groups")
		}
	}
}
