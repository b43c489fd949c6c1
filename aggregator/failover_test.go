package aggregator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// resync is how often a lab's shards are compared with Kubernetes.
const resync = 10 * time.Minute

// look imports nothing, which is what Kubernetes has, and returns the epoch that shard 3 has then.
func (l *lab) look() string {
	l.t.Helper()
	epoch := l.epoch()
	require.True(l.t, l.NeedsImport(epoch), "epoch %q", epoch)
	mine, err := l.BeginImport(l.ctx, 3, epoch, time.Minute)
	require.NoError(l.t, err)
	require.NotNil(l.t, mine)
	require.NoError(l.t, l.FinishImport(l.ctx, mine))
	epoch = l.epoch()
	require.False(l.t, l.NeedsImport(epoch), "epoch %q", epoch)
	return epoch
}

// epoch is that of shard 3.
func (l *lab) epoch() string {
	l.t.Helper()
	swept, err := l.Sweep(l.ctx, 3)
	require.NoError(l.t, err)
	return swept.Epoch
}

// A replica that became the master may not have the last reports, nor know of objects that were written for them: each
// shard is looked at again at once, whatever was done before, and once more later. An import that a failover interrupts
// does not count. Events are folded meanwhile.
func TestAnotherServerLooksAnew(t *testing.T) {
	master, replica := twoServers(t)
	l := waiting(t, master.Client())
	l.pass(importAgain)
	require.Contains(t, l.look(), importDone)
	interrupted, err := l.BeginImport(l.ctx, 4, "1", time.Minute)
	require.NoError(t, err)
	require.Nil(t, interrupted, "another epoch")
	swept, err := l.Sweep(l.ctx, 4)
	require.NoError(t, err)
	interrupted, err = l.BeginImport(l.ctx, 4, swept.Epoch, time.Minute)
	require.NoError(t, err)
	require.NotNil(t, interrupted)
	n, err := master.Client().Wait(l.ctx, 1, 10*time.Second).Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	require.NoError(t, master.Kill())
	require.NoError(t, replica.Client().ReplicaOf(l.ctx, "no", "one").Err())
	l.rdb = replica.Client()
	l.Aggregator = New(
		Options{Redis: l.rdb, Lease: 20 * time.Second, Resync: resync, Clock: func() time.Time { return l.now }},
	)
	require.NoError(t, l.Load(l.ctx))
	folded, err := l.Fold(
		l.ctx,
		Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(2, Firing)}),
		func(Group) string { return "stormfold" },
	)
	require.NoError(t, err)
	require.NotEmpty(t, folded[0].Token, "what is folded is written")
	require.ErrorIs(t, l.FinishImport(l.ctx, interrupted), ErrUnavailable)

	l.look()
	l.pass(importAgain)
	require.Contains(t, l.look(), importDone)
	l.pass(resync - time.Second)
	require.False(t, l.NeedsImport(l.epoch()))
	l.pass(time.Second)
	require.True(t, l.NeedsImport(l.epoch()), "now and then it is compared with Kubernetes")
	require.Contains(t, l.look(), importDone)
	require.NoError(t, l.LookAgain(l.ctx))
	require.Equal(t, importAnew, l.epoch())
	require.True(t, l.NeedsImport(l.epoch()), "something is missing")
}

// An import that a second failover interrupts does not count either, though its lease has come to the new master.
func TestAnotherServerInTheMiddleOfALook(t *testing.T) {
	l := newLab(t, nil)
	elsewhere := func() { require.NoError(t, l.rdb.Set(l.ctx, l.keys.server(3), "another", 0).Err()) }
	elsewhere()
	mine, err := l.BeginImport(l.ctx, 3, importAnew, time.Minute)
	require.NoError(t, err)
	require.NotNil(t, mine)
	// The lease as a pod took it under another run id.
	require.NoError(t, l.rdb.Set(l.ctx, l.keys.lease(3), mine.token+" another", time.Minute).Err())
	require.ErrorIs(t, l.ExtendImport(l.ctx, mine), ErrUnavailable)
	require.ErrorIs(t, l.FinishImport(l.ctx, mine), ErrUnavailable)
	require.Equal(t, importAnew, l.epoch())
}
