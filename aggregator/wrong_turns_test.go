package aggregator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

func (l *lab) tryFold(alerts ...Alert) (Folded, error) {
	folded, err := l.Fold(l.ctx, Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: alerts}), func(Group) string { return "stormfold" })
	if err != nil {
		return Folded{}, err
	}
	return folded[0], nil
}

// A storm without common labels comes back from Kubernetes with a nil map: "null".
func TestImportedStormWithoutCommonLabels(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	l.flush(f.Group, f.Token)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	for name, o := range l.objects {
		o.CommonLabels = nil // what projector.read gives for a status without commonLabels
		l.objects[name] = o
	}
	l.reimport()
	l.pass(time.Minute)
	_, err := l.tryFold(l.pods(16, Firing)...)
	require.NoError(t, err)
}

// The storm's object was deleted by hand; it resolves; an alert fires within the cooldown.
func TestDeletedByHandThenCooldown(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	f = l.fold(l.pods(6, Resolved)...)
	s, err := l.Snapshot(l.ctx, f.Group, f.Token, true)
	require.NoError(t, err)
	var gone []Confirmed
	for _, o := range s.Objects {
		gone = append(gone, Confirmed{Name: o.Name, Namespace: o.Namespace}) // 404
	}
	_, err = l.Settle(l.ctx, s, gone, 0)
	require.NoError(t, err)
	l.pass(time.Minute)
	_, err = l.tryFold(l.alert("web-1", Firing))
	require.NoError(t, err)
}

// Retention shorter than cooldown.
func TestRetentionShorterThanCooldown(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Retention = time.Minute; p.Cooldown = time.Hour })
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	f = l.fold(l.pods(6, Resolved)...)
	l.flush(f.Group, f.Token)
	l.pass(2 * time.Minute)
	l.sweep()
	_, err := l.tryFold(l.alert("web-1", Firing))
	require.NoError(t, err)
}

// Redis is emptied between the snapshot and the scan of its members.
type flushBeforeScan struct {
	other *redis.Client
	done  bool
}

func (h *flushBeforeScan) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *flushBeforeScan) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (h *flushBeforeScan) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hscan" && !h.done {
			h.done = true
			h.other.FlushAll(ctx)
		}
		return next(ctx, cmd)
	}
}

func TestRedisEmptiedBetweenSnapshotAndScan(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(300, Firing)...)
	l.flush(f.Group, f.Token)
	require.Len(t, l.one(StateFiring).Members, 300)
	l.pass(time.Minute)
	f = l.fold(l.alert("one-more", Firing))
	l.rdb.AddHook(&flushBeforeScan{other: server.Client()})
	s, err := l.Snapshot(l.ctx, f.Group, f.Token, false)
	if err == nil {
		require.Len(t, s.Objects[0].Members, 301, "else an empty list is written over the checkpoint in Kubernetes")
	}
}

// The storm is AllResolved; a late word about one more alert that is over.
func TestLateResolvedOfAStormThatIsOver(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	f = l.fold(l.pods(6, Resolved)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Second)
	f = l.fold(l.alert("late", Resolved))
	l.pass(20 * time.Second)
	l.flush(f.Group, f.Token)
	l.sweep()
	total := 0
	for _, o := range l.objects {
		total += o.Total
	}
	require.Equal(t, 7, total, "in any other order the storm counts 7")
}

// Records of a group that is never idle for quiet.
func TestRecordsOfABusyGroupAreBounded(t *testing.T) {
	for _, perRound := range []int{10, 3} { // storms; singles
		l := newLab(t, func(p *config.Policy) { p.MaxAlerts = 10 })
		var group string
		for round := range 40 {
			var on, off []Alert
			for i := range perRound {
				on = append(on, l.alert(fmt.Sprintf("p-%d-%d", round, i), Firing))
			}
			f := l.fold(on...)
			group = f.Group
			l.flush(group, f.Token)
			l.pass(30 * time.Minute)
			for i := range perRound {
				off = append(off, l.alert(fmt.Sprintf("p-%d-%d", round, i), Resolved))
			}
			f = l.fold(off...)
			l.flush(group, f.Token)
			l.pass(30 * time.Minute)
			l.sweep()
		}
		n := l.rdb.HLen(l.ctx, l.keys.group(group).alerts).Val()
		t.Logf("%d per round: %d records after 40 hours, quiet is 5h, maxAlerts 10", perRound, n)
		if n > 20+60 {
			t.Errorf("%d records", n)
		}
	}
}

// A burst of one event per alert that lands before the first one's snapshot.
func TestABurstBeforeTheFirstSnapshot(t *testing.T) {
	l := newLab(t, nil)
	pods := l.pods(15, Firing)
	first := l.fold(pods[0])
	require.NotEmpty(t, first.Token)
	var due time.Time
	for _, a := range pods[1:] {
		due = l.fold(a).Due
	}
	s, err := l.Snapshot(l.ctx, first.Group, first.Token, false)
	require.NoError(t, err)
	t.Logf("due as told to the other folds: in %v", due.Sub(l.now))
	require.NotNil(t, s, "the lease's holder finds nothing to write and forgets the group")
	require.Len(t, s.Objects, 1)
}

// Every alert of the storm resolved between the loss and the import.
func TestAllResolvedBeforeTheImport(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.fold(l.pods(15, Resolved)...)
	l.reimport()
	l.pass(time.Minute)
	l.flush(f.Group, "")
	l.sweep()
	require.Empty(t, l.open(), "firing: nothing; yet the incident stays Firing until quiet")
}

// Flapping.
func TestWritesOfAFlappingStormAreBounded(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.writes = 0
	project := func(f Folded) {
		if s, err := l.Snapshot(l.ctx, f.Group, f.Token, false); err == nil && s != nil {
			l.settle(s)
		}
	}
	for range 300 { // 30 s: everything resolves and fires again ten times a second
		l.pass(50 * time.Millisecond)
		project(l.fold(l.pods(6, Resolved)...))
		l.pass(50 * time.Millisecond)
		project(l.fold(l.pods(6, Firing)...))
	}
	t.Logf("%d writes in 30 s", l.writes)
	require.LessOrEqual(t, l.writes, 32)
}

// Redis is emptied while a pod looks a second time.
func TestRedisEmptiedDuringTheSecondLook(t *testing.T) {
	l := newLab(t, nil)
	l.pass(2 * time.Minute)
	swept, err := l.Sweep(l.ctx, 3)
	require.NoError(t, err)
	require.True(t, l.NeedsImport(swept.Epoch))
	mine, err := l.BeginImport(l.ctx, 3, swept.Epoch, time.Minute)
	require.NoError(t, err)
	require.NotNil(t, mine)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	require.ErrorIs(t, l.FinishImport(l.ctx, mine), ErrUnavailable)
	swept, err = l.Sweep(l.ctx, 3)
	require.NoError(t, err)
	require.True(t, l.NeedsImport(swept.Epoch), "the emptied shard passes for imported, for ever")
}

// A fold whose answer was lost is sent again by the client, with the same token.
func TestAFoldSentAgainKeepsItsLease(t *testing.T) {
	l := newLab(t, nil)
	g := Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(3, Firing)})
	c, err := l.foldCall(g[0], "stormfold", "token", storm{})
	require.NoError(t, err)
	for range 2 {
		r := l.run(l.ctx, l.scripts.fold, []call{c})
		require.NoError(t, r[0].err)
		f, _, err := decodeFolded(r[0].reply, g[0])
		require.NoError(t, err)
		require.NotEmpty(t, f.Token, "else nobody writes the group before the lease is over")
	}
}

// An alert in a group id of no length.
func TestAnObjectWithoutGroupLabel(t *testing.T) {
	require.NotPanics(t, func() { ShardOf("") })
}

// Singles absorbed into a storm that is over already.
func TestImportedSingleWhileCool(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.alert("old", Firing))
	l.flush(f.Group, f.Token)
	l.pass(10 * time.Minute)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.fold(l.pods(6, Firing)...)
	l.pass(time.Second)
	l.fold(l.pods(6, Resolved)...)
	l.reimport()
	l.pass(time.Minute)
	l.flush(f.Group, "")
	firing := 0
	for _, o := range l.open() {
		firing += o.Firing
	}
	require.Equal(t, 1, firing, "old still fires")
}

// Members of the storm that is absorbed at an import.
func TestTwoStormsAtAnImport(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	l.flush(f.Group, f.Token)
	o := l.one(StateFiring)
	o.Name, o.OpenedAt = "second", o.OpenedAt.Add(time.Minute)
	o.Members = []Member{{Fingerprint: l.alert("only-in-second", Firing).Fingerprint, Firing: true}}
	o.Total, o.Firing = 1, 1
	l.objects["second"] = o
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.reimport()
	l.pass(time.Minute)
	l.flush(f.Group, "")
	require.Equal(t, 16, l.one(StateFiring).Total)
}

// The loop that finding 1 makes: every other event is refused and wipes the group.
func TestWipeLoop(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	l.flush(f.Group, f.Token)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	for round := range 3 {
		for name, o := range l.objects {
			o.CommonLabels = nil
			l.objects[name] = o
		}
		l.reimport()
		l.pass(time.Minute)
		_, err := l.tryFold(l.alert(fmt.Sprint("new-", round), Firing))
		_, again := l.tryFold(l.alert(fmt.Sprint("new-", round), Firing))
		_, snap := l.Snapshot(l.ctx, f.Group, "", true)
		t.Logf("round %d: first delivery %v; second %v; snapshot: %v", round, err != nil, again, snap)
	}
}
