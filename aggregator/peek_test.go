package aggregator

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// changes is how often anything in Redis was changed.
func (l *lab) changes() string {
	l.t.Helper()
	info, err := l.rdb.Info(l.ctx, "persistence").Result()
	require.NoError(l.t, err)
	return infoValues(info)["rdb_changes_since_last_save"]
}

// Peek tells the whole life of a group, and never changes a byte in Redis.
func TestPeekTellsAndChangesNothing(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold, p.Window, p.Cooldown = 3, time.Minute, 5*time.Minute })
	alert := l.alert("web-0", Firing)
	group := Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: []Alert{alert}})[0].ID
	peek := func() GroupState {
		t.Helper()
		before := l.changes()
		s, err := l.Peek(l.ctx, group, alert.Fingerprint)
		require.NoError(t, err)
		require.Equal(t, before, l.changes())
		require.True(t, s.Imported)
		require.Equal(t, l.now.UnixMilli(), s.Now.UnixMilli())
		return s
	}

	require.Equal(t, GroupState{Now: peek().Now, Imported: true}, peek(), "nothing was reported")

	opened := l.fold(alert)
	s := peek()
	require.True(t, s.Known)
	require.Equal(t, "calm", s.State)
	require.Equal(t, []int{1, 3, 1}, []int{s.Window, s.Threshold, s.Singles})
	require.Zero(t, s.WindowUntil, "it counts as long as it fires")
	require.Equal(t, AlertState{
		Known: true, Status: "firing", NotifiedAt: s.Alert.NotifiedAt, Incident: opened.Transitions[0].Incident,
		State: StateFiring,
	}, s.Alert)
	require.Equal(t, opened.Due.UnixMilli(), s.Due.UnixMilli())
	l.flush(group, opened.Token)

	l.pass(time.Minute)
	require.Equal(t, 1, peek().Window, "it still fires")

	l.fold(l.alert("web-1", Firing), l.alert("web-2", Firing), l.alert("web-3", Firing))
	l.pass(time.Minute)
	l.sweep()
	s = peek()
	require.Equal(t, "storm", s.State)
	require.Equal(t, []int{4, 4}, []int{s.Total, s.Firing})
	require.Equal(t, s.Storm, s.Alert.Incident)
	require.True(t, s.Alert.Member)

	var over []Alert
	for i := range 4 {
		over = append(over, l.alert("web-"+strconv.Itoa(i), Resolved))
	}
	l.fold(over...)
	s = peek()
	require.Equal(t, "cool", s.State)
	require.Equal(t, "resolved", s.Alert.Status)
	require.Equal(t, l.now.UnixMilli(), s.ResolvedAt.UnixMilli())
	require.Equal(t, 5*time.Minute, s.Cooldown)
}

// Before the import nothing is decided, and Peek says so.
func TestPeekBeforeTheImport(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	alert := l.alert("web-0", Firing)
	folded := l.fold(alert)
	s, err := l.Peek(l.ctx, folded.Group, alert.Fingerprint)
	require.NoError(t, err)
	require.False(t, s.Imported)
	require.Equal(t, "waiting", s.State)
	require.Equal(t, 1, s.Waiting)
	require.False(t, s.Alert.Known)
}

func TestPeekOfAnAnswerThatIsNone(t *testing.T) {
	for _, reply := range []any{nil, "x", []any{}, []any{int64(1), int64(1), int64(1), int64(1), int64(0), "calm"}} {
		_, err := decodeView(reply)
		require.ErrorIs(t, err, ErrReply)
	}
	for _, limits := range []string{"5,x", `{"window":"x"}`} {
		_, err := newMerging(view{group: fields{limits: limits}}, policyText{})
		require.ErrorIs(t, err, ErrReply)
	}
}

func TestKeysOfAGroup(t *testing.T) {
	require.Equal(t, []string{
		"{sf:03}:g:1300000000000000", "{sf:03}:g:1300000000000000:alerts", "{sf:03}:g:1300000000000000:recent",
		"{sf:03}:g:1300000000000000:objects", "{sf:03}:g:1300000000000000:open", "{sf:03}:g:1300000000000000:todo",
		"{sf:03}:g:1300000000000000:waiting", "{sf:03}:due",
	}, Keys("", "1300000000000000"))
	require.Equal(t, 3, ShardOf(OverflowOf("default", "1300000000000000")))
}

// The next time is that of the group that is due first; a shard without groups has none.
func TestNextDue(t *testing.T) {
	l := newLab(t, nil)
	var due []time.Time
	folded := l.fold(l.alert("web-0", Firing))
	for shard := range Shards {
		at, err := l.NextDue(l.ctx, shard, time.Time{})
		require.NoError(t, err)
		if !at.IsZero() {
			require.Equal(t, ShardOf(folded.Group), shard)
			due = append(due, at)
		}
	}
	require.True(t, slices.EqualFunc([]time.Time{folded.Due}, due, time.Time.Equal))
	later, err := l.NextDue(l.ctx, ShardOf(folded.Group), folded.Due)
	require.NoError(t, err)
	require.Zero(t, later, "after that there is none")
}
