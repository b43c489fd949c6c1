package aggregator

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

func (l *lab) pods(n int, status Status) []Alert {
	var out []Alert
	for i := range n {
		out = append(out, l.alert(fmt.Sprintf("web-%d", i), status))
	}
	return out
}

func TestBelowTheThresholdEachAlertHasItsIncident(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(4, Firing)...)
	require.NotEmpty(t, f.Token)
	require.Equal(t, "calm", f.State)
	require.Equal(t, 4, f.Window)
	require.Len(t, f.Transitions, 4)
	l.flush(f.Group, f.Token)
	require.Len(t, l.open(), 4)
	for _, o := range l.open() {
		require.False(t, o.Storm)
		require.Equal(t, 1, o.Total)
		require.Equal(t, 1, o.Firing)
		require.Regexp(t, `^pod-down-[a-z2-7]{10}$`, o.Name)
	}
}

func TestABurstIsOneStorm(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	require.Equal(t, "storm", f.State)
	require.Equal(t, 15, f.Total)
	require.Equal(t, 15, f.Firing)
	require.Len(t, f.Transitions, 1)
	require.Equal(t, Stormed, f.Transitions[0].Type)
	l.flush(f.Group, f.Token)
	require.Len(t, l.objects, 1)
	o := l.one(StateFiring)
	require.True(t, o.Storm)
	require.Equal(t, 15, o.Total)
	require.Len(t, o.Members, 15)
	require.Equal(t, map[string]string{"alertname": "PodDown", "namespace": "shop", "severity": "warning"}, o.CommonLabels)
	require.Equal(t, 1, l.writes)
}

func TestPromotionInPlaceAbsorbsTheOthers(t *testing.T) {
	l := newLab(t, nil)
	pods := l.pods(5, Firing)
	first := l.fold(pods[0])
	l.flush(first.Group, first.Token)
	oldest := l.one(StateFiring)
	for _, a := range pods[1:4] {
		l.pass(time.Second)
		l.flush(first.Group, l.fold(a).Token)
	}
	require.Len(t, l.open(), 4)
	l.pass(time.Second)
	f := l.fold(pods[4])
	require.Equal(t, "storm", f.State)
	l.flush(first.Group, f.Token)
	o := l.one(StateFiring)
	require.Equal(t, oldest.Name, o.Name, "the oldest incident becomes the storm")
	require.True(t, o.Storm)
	require.Equal(t, 5, o.Total)
	require.Len(t, o.Members, 5)
	absorbed := l.in(StateAbsorbed)
	require.Len(t, absorbed, 3, "the fifth was never written")
	for _, a := range absorbed {
		require.Equal(t, o.Name, a.AbsorbedBy)
	}
}

func TestThreeHundredSinglesAreAbsorbed(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold = 1000 })
	var group string
	for i := range 300 {
		l.pass(time.Minute)
		f := l.fold(l.alert(fmt.Sprintf("old-%d", i), Firing))
		group = f.Group
		l.flush(group, f.Token)
	}
	require.Len(t, l.open(), 300)
	l.policy.Threshold = 5
	f := l.fold(l.pods(5, Firing)...)
	require.Equal(t, "storm", f.State)
	l.flush(group, f.Token)
	o := l.one(StateFiring)
	require.Equal(t, 305, o.Total)
	require.Len(t, l.in(StateAbsorbed), 299, "what was written before the storm, but for the one that became it")
}

func TestResolutionReopeningAndANewIncident(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	name := l.one(StateFiring).Name

	l.pass(time.Minute)
	f = l.fold(l.pods(6, Resolved)...)
	require.Equal(t, "cool", f.State)
	require.NotEmpty(t, f.Token, "the end is written at once")
	l.flush(f.Group, f.Token)
	o := l.one(StateResolved)
	require.Equal(t, "AllResolved", o.Reason)
	require.Equal(t, 6, o.Total)
	require.Zero(t, o.Firing)

	l.pass(4 * time.Minute)
	f = l.fold(l.alert("web-1", Firing))
	require.Equal(t, "storm", f.State)
	require.Equal(t, Reopened, f.Transitions[0].Type)
	l.flush(f.Group, f.Token)
	o = l.one(StateFiring)
	require.Equal(t, name, o.Name)
	require.Equal(t, 1, o.Reopened)
	require.Equal(t, 6, o.Total)
	require.Equal(t, 1, o.Firing)

	l.pass(time.Second)
	f = l.fold(l.alert("web-1", Resolved))
	l.flush(f.Group, f.Token)
	l.pass(5 * time.Minute)
	f = l.fold(l.alert("web-1", Firing))
	require.Equal(t, "calm", f.State)
	l.flush(f.Group, f.Token)
	require.NotEqual(t, name, l.one(StateFiring).Name)
}

func TestASingleIsReopenedWithinTheCooldown(t *testing.T) {
	l := newLab(t, nil)
	for i, status := range []Status{Firing, Resolved, Firing, Resolved} {
		f := l.fold(l.alert("web-1", status))
		require.True(t, f.Changed, i)
		l.flush(f.Group, f.Token)
		l.pass(time.Minute)
	}
	require.Len(t, l.objects, 1)
	require.Equal(t, 1, l.one(StateResolved).Reopened)
	l.pass(5 * time.Minute)
	f := l.fold(l.alert("web-1", Firing))
	l.flush(f.Group, f.Token)
	require.Len(t, l.objects, 2)
}

func TestRepetitionsAndRedeliveriesChangeNothing(t *testing.T) {
	l := newLab(t, nil)
	pods := l.pods(6, Firing)
	f := l.fold(pods...)
	l.flush(f.Group, f.Token)
	l.pass(time.Hour)
	again := l.fold(pods...)
	require.False(t, again.Changed)
	repeat := l.fold(l.pods(6, Firing)...)
	require.False(t, repeat.Changed)
	require.Equal(t, f.Revision, repeat.Revision)
}

func TestAStormEndsQuietly(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(4 * time.Hour)
	l.fold(l.pods(6, Firing)...)
	l.pass(4 * time.Hour)
	l.sweep()
	require.Len(t, l.open(), 1, "reported four hours ago")
	l.pass(time.Hour)
	l.sweep()
	o := l.one(StateResolved)
	require.Equal(t, "Quiet", o.Reason)
	require.Equal(t, []int{6, 0}, []int{o.Total, o.Firing}, "none of them was reported")

	f = l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	require.Len(t, l.objects, 2, "a later report opens a new incident")
}

func TestAStormEndsAtItsMaximumDuration(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.MaxDuration = 24 * time.Hour })
	pods := l.pods(6, Firing)
	f := l.fold(pods...)
	l.flush(f.Group, f.Token)
	l.fold(l.pods(1, Resolved)...)
	for range 6 {
		l.pass(4 * time.Hour)
		l.sweep()
		l.fold(l.pods(6, Firing)[1:]...)
	}
	old, next := l.one(StateResolved), l.one(StateFiring)
	require.Equal(t, "MaxDuration", old.Reason)
	require.Equal(t, []int{6, 5}, []int{old.Total, old.Firing}, "the counts are the last known")
	require.Equal(t, []int{5, 5}, []int{next.Total, next.Firing}, "what fires on is in another incident at once")
	require.Len(t, next.Members, 5)
	require.Equal(t, old.CommonLabels, next.CommonLabels)
	require.False(t, l.fold(pods[1:]...).Changed, "an old word stays old")
	f = l.fold(l.pods(6, Resolved)[1:]...)
	l.flush(f.Group, f.Token)
	require.Empty(t, l.open())
	require.Len(t, l.in(StateResolved), 2)
}

func TestRetentionDeletesAndTheGroupGoes(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	f = l.fold(func() []Alert { l.pass(time.Minute); return l.pods(6, Resolved) }()...)
	l.flush(f.Group, f.Token)
	l.pass(167 * time.Hour)
	l.sweep()
	require.Len(t, l.objects, 1)
	l.pass(time.Hour)
	l.sweep()
	require.Empty(t, l.objects)
	l.pass(time.Second)
	l.sweep()
	keys, err := l.rdb.Keys(l.ctx, "*:g:*").Result()
	require.NoError(t, err)
	require.Empty(t, keys, "nothing of the group is left in Redis")
	for shard := range Shards {
		require.Zero(t, l.rdb.Exists(l.ctx, l.keys.groups(shard)).Val())
		require.EqualValues(t, 1, l.rdb.ZCard(l.ctx, l.keys.due(shard)).Val(), "the import's mark")
	}
}

func TestResolvedBeforeFiring(t *testing.T) {
	l := newLab(t, nil)
	firing := l.alert("web-1", Firing)
	l.pass(time.Minute)
	resolved := l.alert("web-1", Resolved)
	l.pass(11 * time.Minute)
	f := l.fold(resolved)
	require.False(t, f.Changed, "over for longer than the cooldown: nothing to show")
	f = l.fold(firing)
	require.True(t, f.Changed)
	l.flush(f.Group, f.Token)
	o := l.one(StateResolved)
	require.Equal(t, 1, o.Total)
	require.Zero(t, o.Firing)
	require.Empty(t, l.open())
}

func TestFlushIntervalDoublesAndFallsBack(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	s, err := l.Snapshot(l.ctx, f.Group, f.Token, false)
	require.NoError(t, err)
	l.settle(s)
	var waits []time.Duration
	for i := range 6 {
		next := l.fold(l.alert(fmt.Sprintf("late-%d", i), Firing))
		require.Empty(t, next.Token)
		waits = append(waits, next.Due.Sub(l.now))
		_, err := l.Snapshot(l.ctx, f.Group, "", false)
		var busy *Busy
		require.ErrorAs(t, err, &busy, "not before the interval is over")
		l.now = next.Due
		s, err := l.Snapshot(l.ctx, f.Group, "", false)
		require.NoError(t, err)
		l.settle(s)
	}
	part, err := strconv.ParseInt(f.Group[2:6], 16, 64) // Of a quarter that this group waits less than others.
	require.NoError(t, err)
	require.Positive(t, part)
	want := []time.Duration{time.Second}
	for _, ms := range []int64{2000, 4000, 8000, 15000, 15000} {
		want = append(want, time.Duration(ms-(ms*part+4*65536-1)/(4*65536))*time.Millisecond)
	}
	require.Equal(t, want, waits)
	l.pass(time.Minute)
	late := l.fold(l.alert("later", Firing))
	require.NotEmpty(t, late.Token)
}

func TestALostLeaseIsTakenOver(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	_, err := l.Snapshot(l.ctx, f.Group, f.Token, false)
	require.NoError(t, err)
	var busy *Busy
	_, err = l.Snapshot(l.ctx, f.Group, "", false)
	require.ErrorAs(t, err, &busy)
	l.pass(20 * time.Second)
	l.sweep()
	require.Equal(t, 6, l.one(StateFiring).Total)
}

func TestOutOfMemoryRefusesAFoldWholeAndLetsTheRestGoOn(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	require.NoError(t, l.rdb.ConfigSet(l.ctx, "maxmemory", "1mb").Err())
	t.Cleanup(func() { l.rdb.ConfigSet(t.Context(), "maxmemory", "0") })
	_, err := l.Fold(
		l.ctx,
		Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: []Alert{l.alert("more", Firing)}}),
		func(Group) string { return "stormfold" },
	)
	require.ErrorIs(t, err, ErrOutOfMemory)
	l.flush(f.Group, f.Token)
	require.Equal(t, 6, l.one(StateFiring).Total)
	require.NoError(t, l.rdb.ConfigSet(l.ctx, "maxmemory", "0").Err())
}

func TestAScriptThatRedisForgotIsSentAgain(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.ScriptFlush(l.ctx).Err())
	many := l.pods(600, Firing) // Three calls in one pipeline.
	f := l.fold(many...)
	require.Equal(t, 600, f.Total)
	require.NoError(t, l.rdb.ScriptFlush(l.ctx).Err())
	l.flush(f.Group, f.Token)
	require.Len(t, l.one(StateFiring).Members, 600)
}

// Of a burst only the first incident is written before the others have become part of its storm.
func TestABurstWhileTheFirstIsBeingWritten(t *testing.T) {
	l := newLab(t, nil)
	pods := l.pods(15, Firing)
	first := l.fold(pods[0])
	for _, a := range pods[1:4] {
		require.Empty(t, l.fold(a).Token)
	}
	s, err := l.Snapshot(l.ctx, first.Group, first.Token, false)
	require.NoError(t, err)
	require.Len(t, s.Objects, 1)
	for _, a := range pods[4:] {
		l.fold(a)
	}
	due := l.settle(s)
	require.Equal(t, l.now.Add(time.Second), due)
	l.now = due
	l.flush(first.Group, "")
	require.Len(t, l.objects, 1)
	require.Equal(t, 15, l.one(StateFiring).Total)
	require.Equal(t, 2, l.writes)
}

// One notification says that all known alerts are over and that others fire; it takes several calls.
func TestAStormThatMovesOnIsNotOver(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(600, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	alerts := l.pods(600, Resolved)
	for i := range 600 {
		alerts = append(alerts, l.alert(fmt.Sprintf("new-%d", i), Firing))
	}
	f = l.fold(alerts...)
	require.Equal(t, "storm", f.State)
	require.Empty(t, f.Transitions)
	require.Equal(t, 1200, f.Total)
	require.Equal(t, 600, f.Firing)
}

// A group that is reported all the time and never silent for its quiet time does not grow with every storm.
func TestTombstonesOfEarlierStormsGo(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Cooldown = 0; p.MaxAlerts = 30 })
	var f Folded
	most := int64(0)
	for storm := range 40 {
		var alerts []Alert
		for i := range 20 {
			alerts = append(alerts, l.alert(fmt.Sprintf("web-%d-%d", storm, i), Firing))
		}
		f = l.fold(alerts...)
		l.flush(f.Group, f.Token)
		l.pass(time.Minute)
		for i := range alerts {
			alerts[i].Status, alerts[i].NotifiedAt, alerts[i].EndsAt = Resolved, l.now, l.now
		}
		f = l.fold(alerts...)
		l.flush(f.Group, f.Token)
		l.pass(time.Minute)
		most = max(most, l.rdb.HLen(l.ctx, l.keys.group(f.Group).alerts).Val())
	}
	require.Len(t, l.in(StateResolved), 40)
	for _, o := range l.in(StateResolved) {
		require.Equal(t, 20, o.Total)
		require.Len(t, o.Members, 20)
	}
	require.LessOrEqual(t, most, int64(90), "three times maxAlerts")
}
