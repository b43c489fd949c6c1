package aggregator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

func TestBeyondMaxAlertsTheCountsAreLowerBounds(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.MaxAlerts = 10 })
	f := l.fold(l.pods(10, Firing)...)
	l.flush(f.Group, f.Token)
	require.False(t, l.one(StateFiring).Truncated)
	l.pass(time.Minute)
	for range 2 { // Redelivered, they are not counted again.
		f = l.fold(l.pods(13, Firing)...)
		l.flush(f.Group, f.Token)
		o := l.one(StateFiring)
		require.True(t, o.Truncated)
		require.Equal(t, 10, o.Total)
		require.Equal(t, 3, o.Beyond)
		require.Len(t, o.Members, 10)
	}
	l.pass(time.Minute)
	f = l.fold(l.pods(13, Resolved)...)
	l.flush(f.Group, f.Token)
	require.Zero(t, l.one(StateFiring).Firing, "what is not tracked may still fire")
	l.pass(5 * time.Hour)
	l.sweep()
	require.Equal(t, "Quiet", l.one(StateResolved).Reason)
}

func TestATruncatedNotificationMarksItsIncidents(t *testing.T) {
	for _, n := range []int{2, 8} {
		l := newLab(t, nil)
		f := l.fold(l.pods(n, Firing)...)
		l.flush(f.Group, f.Token)
		for _, o := range l.open() {
			require.False(t, o.Truncated)
		}
		l.pass(time.Minute)
		folded, err := l.Fold(l.ctx, Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(n, Firing), Truncated: true}),
			func(Group) string { return "stormfold" })
		require.NoError(t, err)
		l.flush(f.Group, folded[0].Token)
		require.NotEmpty(t, l.open())
		for _, o := range l.open() {
			require.True(t, o.Truncated)
		}
	}
}

func TestBeyondMaxGroupsAlertsShareAnOverflowIncident(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.MaxGroups = 2; p.GroupBy = []string{"pod"}; p.Threshold = 1 })
	groups := map[string]bool{}
	shards := map[int]int{}
	for i := range 200 {
		f := l.fold(l.alert(fmt.Sprintf("web-%d", i), Firing))
		groups[f.Group] = true
		shards[ShardOf(f.Group)]++
	}
	want := 0
	for _, n := range shards {
		want += min(n, 3) // Two groups and the overflow group of the shard.
	}
	require.Len(t, groups, want)
	l.pass(20 * time.Second) // The leases that the folds granted were not used.
	l.sweep()
	require.Len(t, l.open(), want)
	total := 0
	for _, o := range l.open() {
		total += o.Total
	}
	require.Equal(t, 200, total)

	l.pass(5 * time.Hour)
	l.sweep()
	require.Empty(t, l.open())
	l.pass(168 * time.Hour)
	l.sweep()
	l.pass(time.Second)
	l.sweep()
	require.Empty(t, l.rdb.Keys(l.ctx, "*:groups").Val(), "the count of groups goes down with them")
}

func TestTombstonesAreBounded(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.MaxAlerts = 10 })
	for i := range 100 {
		a := l.alert(fmt.Sprintf("web-%d", i), Resolved)
		a.EndsAt = l.now.Add(-time.Hour)
		l.fold(a)
	}
	group := GroupID("default", map[string]string{"alertname": "PodDown"})
	require.EqualValues(t, 20, l.rdb.HLen(l.ctx, l.keys.group(group).alerts).Val())
}

// 10,000 alerts within a minute are a matter of few writes, and of one incident.
func TestWritesOfTenThousandAlertsInAMinute(t *testing.T) {
	l := newLab(t, nil)
	due := map[string]time.Time{}
	for i := range 600 { // Every 100 ms.
		var alerts []Alert
		for j := range 17 {
			if n := i*17 + j; n < 10000 {
				alerts = append(alerts, l.alert(fmt.Sprintf("web-%d", n), Firing))
			}
		}
		if len(alerts) == 0 {
			break
		}
		f := l.fold(alerts...)
		due[f.Group] = f.Due
		if s, err := l.Snapshot(l.ctx, f.Group, f.Token, false); err == nil && s != nil {
			l.settle(s)
		}
		l.pass(100 * time.Millisecond)
	}
	l.pass(15 * time.Second)
	l.sweep()
	o := l.one(StateFiring)
	require.Equal(t, 10000, o.Total)
	require.Len(t, o.Members, 10000)
	t.Logf("%d status writes for 10,000 alerts in a minute", l.writes)
	require.LessOrEqual(t, l.writes, 12, "intervals of 1, 2, 4, 8 and then 15 seconds")
}
