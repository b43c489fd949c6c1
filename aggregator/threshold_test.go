package aggregator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// With a threshold of 1 a group has one incident from its first alert on, which takes every further alert.
func TestAThresholdOfOne(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold = 1 })
	f := l.fold(l.alert("web-0", Firing))
	require.Equal(t, []TransitionType{Opened}, types(f))
	l.flush(f.Group, f.Token)
	name := l.one(StateFiring).Name
	require.Equal(t, []int{1, 1}, []int{l.one(StateFiring).Total, l.one(StateFiring).Firing})
	require.Zero(t, l.one(StateFiring).StormAt)

	l.pass(3 * time.Hour)
	f = l.fold(l.alert("web-1", Firing))
	require.Equal(t, []TransitionType{Stormed}, types(f), "the second alert makes it a storm")
	l.flush(f.Group, f.Token)
	require.Equal(t, l.now.UnixMilli(), l.one(StateFiring).StormAt.UnixMilli())
	f = l.fold(l.alert("web-2", Firing))
	require.Empty(t, types(f))
	l.flush(f.Group, f.Token)
	o := l.one(StateFiring)
	require.Equal(t, name, o.Name)
	require.Equal(t, []int{3, 3}, []int{o.Total, o.Firing})
	require.Len(t, l.objects, 1, "nothing is ever absorbed")

	f = l.fold(l.pods(3, Resolved)...)
	l.flush(f.Group, f.Token)
	require.Equal(t, "AllResolved", l.one(StateResolved).Reason)
	l.pass(time.Minute)
	f = l.fold(l.alert("web-9", Firing))
	require.Equal(t, []TransitionType{Reopened}, types(f), "any alert of the group reopens it within the cooldown")
	l.flush(f.Group, f.Token)
	require.Equal(t, []int{4, 1}, []int{l.one(StateFiring).Total, l.one(StateFiring).Firing})
}

func types(f Folded) []TransitionType {
	var out []TransitionType
	for _, t := range f.Transitions {
		out = append(out, t.Type)
	}
	return out
}

// The threshold counts what fires now, however long ago it began, and what newly fired within the window and is over.
func TestTheThresholdCountsWhatFiresNow(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold, p.Window = 4, 10*time.Minute })
	for _, pod := range []string{"web-0", "web-1", "web-2"} {
		f := l.fold(l.alert(pod, Firing))
		l.flush(f.Group, f.Token)
		l.pass(time.Hour)
	}
	f := l.fold(l.alert("web-0", Resolved))
	require.Equal(t, 2, f.Window, "it newly fired long ago")
	f = l.fold(l.alert("web-3", Firing))
	l.pass(time.Minute)
	f = l.fold(l.alert("web-3", Resolved))
	require.Equal(t, 3, f.Window, "it newly fired a minute ago")
	require.Equal(t, l.now.Add(9*time.Minute).UnixMilli(), f.WindowUntil.UnixMilli())
	l.pass(9 * time.Minute)
	f = l.fold(l.alert("web-4", Firing))
	require.Equal(t, "calm", f.State)
	require.Equal(t, 3, f.Window)
	require.Equal(t, "storm", l.fold(l.alert("web-5", Firing)).State)
}

// Quiet ends the alerts of a storm one by one: one that is reported again and again keeps no other firing.
func TestQuietEndsAlertsOneByOne(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold, p.Quiet, p.MaxDuration = 1, 8*time.Hour, 30*24*time.Hour })
	f := l.fold(l.pods(300, Firing)...)
	l.flush(f.Group, f.Token)
	for range 9 {
		l.pass(time.Hour)
		l.fold(l.alert("web-0", Firing))
		l.sweep()
	}
	o := l.one(StateFiring)
	require.Equal(t, []int{300, 1}, []int{o.Total, o.Firing})
	quiet := 0
	for _, m := range o.Members {
		if m.Quiet {
			quiet++
		}
	}
	require.Equal(t, 299, quiet)
	l.pass(9 * time.Hour)
	l.sweep()
	o = l.one(StateResolved)
	require.Equal(t, "Quiet", o.Reason)
	require.Zero(t, o.Firing)
}

// A word that only ever said resolved makes no object of its own in a calm group; it joins a storm.
func TestOnlyEverResolved(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(9, Resolved)...)
	require.False(t, f.Changed)
	l.flush(f.Group, "")
	require.Empty(t, l.objects)
	late := l.alert("web-0", Firing)
	late.NotifiedAt = l.now.Add(-time.Second)
	f = l.fold(late)
	l.flush(f.Group, f.Token)
	require.Equal(t, 1, l.one(StateResolved).Total, "its firing was late")
	f = l.fold(l.alert("db-0", Firing), l.alert("db-1", Firing), l.alert("db-2", Firing), l.alert("db-3", Firing),
		l.alert("db-4", Firing), l.alert("db-5", Resolved))
	l.flush(f.Group, f.Token)
	require.Equal(t, []int{6, 5}, []int{l.one(StateFiring).Total, l.one(StateFiring).Firing})
}

// A storm that may still be reopened by a word that comes late is left alone until that is over.
func TestACoolGroupIsDueWhenItsCooldownIsOverForGood(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold, p.Quiet, p.Cooldown = 1, 10*time.Minute, 20*time.Minute })
	f := l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	f = l.fold(l.alert("web-0", Resolved))
	l.pass(time.Minute)
	l.flush(f.Group, f.Token)
	ended := l.one(StateResolved).EndedAt
	l.pass(21 * time.Minute)
	l.sweep()
	due := l.rdb.ZScore(l.ctx, l.keys.due(ShardOf(f.Group)), f.Group).Val()
	require.Equal(t, ended.Add(25*time.Minute).UnixMilli(), int64(due))
}

// With a threshold of 1, incidents of one alert each that are found in Kubernetes are one storm, and say so.
func TestTwoImportedIncidentsOfOneGroupAreAStorm(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold = 5 })
	f := l.fold(l.alert("web-0", Firing), l.alert("web-1", Firing))
	l.pass(time.Minute)
	l.flush(f.Group, "")
	require.Len(t, l.open(), 2)
	l.policy.Threshold = 1
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.reimport()
	l.pass(time.Minute)
	l.flush(f.Group, "")
	o := l.one(StateFiring)
	require.Equal(t, []int{2, 2}, []int{o.Total, o.Firing})
	require.False(t, o.StormAt.IsZero())
}

// An alert that would have reopened its own incident, reported late, joins the storm, which absorbs that incident.
func TestAStormTakesOverWhatALateWordWouldReopen(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold, p.Cooldown = 3, 20*time.Minute })
	f := l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	f = l.fold(l.alert("web-0", Resolved))
	l.flush(f.Group, f.Token)
	own := l.one(StateResolved).Name
	l.pass(18 * time.Minute)
	again := l.alert("web-0", Firing)
	l.pass(4 * time.Minute)
	again.NotifiedAt = l.now
	f = l.fold(l.alert("web-1", Firing), l.alert("web-2", Firing), l.alert("web-3", Firing))
	l.flush(f.Group, f.Token)
	f = l.fold(again)
	l.pass(time.Minute)
	l.flush(f.Group, "")
	require.Equal(t, []int{4, 4}, []int{l.one(StateFiring).Total, l.one(StateFiring).Firing})
	require.Equal(t, own, l.one(StateAbsorbed).Name)
}
