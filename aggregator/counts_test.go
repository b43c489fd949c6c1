package aggregator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// counts are the numbers that the sweeps of all shards tell.
func (l *lab) counts() Swept {
	l.t.Helper()
	var all Swept
	for shard := range Shards {
		s, err := l.Sweep(l.ctx, shard)
		require.NoError(l.t, err)
		all.Total += s.Total
		all.Overflow += s.Overflow
		all.Alerts += s.Alerts
		all.Storms += s.Storms
	}
	return all
}

// counted is the same by looking at every group.
func (l *lab) counted() Swept {
	l.t.Helper()
	var all Swept
	for _, key := range l.rdb.Keys(l.ctx, "{sf:*}:g:*").Val() {
		if strings.HasSuffix(key, ":open") {
			all.Alerts += int(l.rdb.ZCard(l.ctx, key).Val())
		}
		if strings.Count(key, ":") > 3 {
			continue
		}
		all.Total++
		g := l.rdb.HGetAll(l.ctx, key).Val()
		if g["state"] == "storm" {
			all.Storms++
		}
		if g["overflow"] == "1" {
			all.Overflow++
		}
	}
	return all
}

// What is open is counted, through a storm's whole life, and nothing stays counted.
func TestOpenIncidentsAreCounted(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(4, Firing)...)
	require.Equal(t, Swept{Total: 1, Alerts: 4}, l.counts())
	l.flush(f.Group, f.Token)
	l.pass(time.Second)
	f = l.fold(l.pods(15, Firing)...)
	require.Equal(t, 1, l.counts().Storms)
	require.Equal(t, l.counted(), l.counts(), "while the others wait to be absorbed")
	l.flush(f.Group, f.Token)
	require.Equal(t, Swept{Total: 1, Storms: 1}, l.counts())
	l.pass(time.Second)
	l.fold(l.pods(15, Resolved)...)
	require.Equal(t, Swept{Total: 1}, l.counts())
	for _, after := range []time.Duration{time.Minute, 6 * time.Hour, 168 * time.Hour, time.Second} {
		l.pass(after)
		l.sweep()
	}
	require.Equal(t, Swept{}, l.counts())
	require.Empty(t, l.rdb.Keys(l.ctx, "*:groups").Val())
}

// A group of which Redis has lost a part takes back what it had added, and one that was written before there were such
// numbers adds itself with its next change.
func TestCountsSurviveLosses(t *testing.T) {
	for _, lost := range []string{":open", ":alerts", ":objects"} {
		l := newLab(t, nil)
		f := l.fold(l.pods(4, Firing)...)
		l.flush(f.Group, f.Token)
		require.NoError(t, l.rdb.Del(l.ctx, fmt.Sprintf("{sf:%s}:g:%s%s", ShardName(ShardOf(f.Group)), f.Group, lost)).Err())
		l.pass(time.Minute)
		_, err := l.Snapshot(l.ctx, f.Group, "", true)
		require.ErrorIs(t, err, ErrNotImported)
		require.Zero(t, l.counts().Alerts, lost)
		l.reimport()
		l.pass(time.Minute)
		f = l.fold(l.pods(4, Firing)...)
		l.flush(f.Group, f.Token)
		require.Equal(t, l.counted(), l.counts(), lost)
		require.Equal(t, 4, l.counts().Alerts, lost)
	}

	l := newLab(t, nil)
	f := l.fold(l.pods(3, Firing)...)
	shard := ShardOf(f.Group)
	require.NoError(t, l.rdb.HDel(l.ctx, l.keys.group(f.Group).hash, "contribution").Err())
	require.NoError(t, l.rdb.HDel(l.ctx, l.keys.groups(shard), "#A").Err())
	l.pass(time.Second)
	l.fold(l.pods(4, Firing)...)
	require.Equal(t, 4, l.counts().Alerts)
}

// Overflow groups are counted, and go.
func TestOverflowGroupsAreCounted(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.MaxGroups, p.GroupBy = 1, []string{"pod"} })
	for i := range 100 {
		l.fold(l.alert(fmt.Sprintf("web-%d", i), Firing))
	}
	require.Equal(t, l.counted(), l.counts())
	require.Positive(t, l.counts().Overflow)
	require.Equal(
		t,
		l.counts().Total-l.counts().Overflow,
		len(l.rdb.Keys(l.ctx, "*:groups").Val()),
		"one group a shard beside them",
	)
}

// A lease that ran out is told to whoever takes it, and one that was given back is not.
func TestTakenOverLeasesAreTold(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.alert("web-0", Firing))
	require.NotEmpty(t, f.Token)
	require.False(t, f.TookOver)
	l.pass(21 * time.Second)
	s, err := l.Snapshot(l.ctx, f.Group, "", true)
	require.NoError(t, err)
	require.True(t, s.TookOver)
	l.settle(s)

	l.pass(time.Minute)
	f = l.fold(l.alert("web-1", Firing))
	require.NotEmpty(t, f.Token)
	require.False(t, f.TookOver, "it was given back")
	l.pass(time.Minute)
	f = l.fold(l.alert("web-2", Firing))
	require.NotEmpty(t, f.Token)
	require.True(t, f.TookOver)
	s, err = l.Snapshot(l.ctx, f.Group, f.Token, false)
	require.NoError(t, err)
	require.False(t, s.TookOver, "the fold has reported it")
}

// A storm that grew out of an incident that was written is told from one that was a storm from the beginning.
func TestPromotionsAreTold(t *testing.T) {
	of := func(f Folded) Transition {
		for _, tr := range f.Transitions {
			if tr.Type == Stormed {
				return tr
			}
		}
		t.Fatal("no storm")
		return Transition{}
	}
	l := newLab(t, nil)
	storm := of(l.fold(l.pods(15, Firing)...))
	require.True(t, storm.Storm)
	require.False(t, storm.Told)

	l = newLab(t, nil)
	f := l.fold(l.alert("web-0", Firing))
	require.False(t, f.Transitions[0].Storm)
	l.flush(f.Group, f.Token)
	l.pass(time.Second)
	require.True(t, of(l.fold(l.pods(15, Firing)...)).Told)
}
