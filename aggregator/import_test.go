package aggregator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// reimport gives Redis back what was written, as the function does from Kubernetes.
func (l *lab) reimport() {
	l.t.Helper()
	for _, o := range l.objects {
		for i := range o.Members {
			o.Members[i] = Member{Fingerprint: o.Members[i].Fingerprint, Firing: o.Members[i].Firing}
		}
		o.OpenedAt = o.OpenedAt.Truncate(time.Second)
		group := GroupID("default", map[string]string{"alertname": "PodDown"})
		_, err := l.Import(l.ctx, Imported{
			Group: group, Policy: "default", Labels: map[string]string{"alertname": "PodDown"}, Object: o,
		}, &l.policy)
		require.NoError(l.t, err)
	}
	l.imported()
}

// give imports an incident that Redis does not know, as the function does when a shard was imported before.
func (l *lab) give(i Imported) {
	l.t.Helper()
	_, err := l.Import(l.ctx, i, &l.policy)
	if errors.Is(err, ErrNotImported) {
		_, err = l.Import(l.ctx, i, &l.policy)
	}
	require.NoError(l.t, err)
	l.imported()
}

func TestAnEmptiedRedisGoesOnWithTheSameStorm(t *testing.T) {
	for name, between := range map[string]func(*lab){
		"nothing in between":     func(*lab) {},
		"repeats in between":     func(l *lab) { l.fold(l.pods(15, Firing)...) },
		"some repeats":           func(l *lab) { l.fold(l.pods(7, Firing)...) },
		"resolutions in between": func(l *lab) { l.fold(l.pods(3, Resolved)...) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			f := l.fold(l.pods(15, Firing)...)
			l.flush(f.Group, f.Token)
			before := l.one(StateFiring)

			l.pass(time.Minute)
			require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
			between(l)
			_, err := l.Snapshot(l.ctx, f.Group, "", true)
			require.ErrorIs(t, err, ErrNotImported, "nothing is written before the import")
			l.reimport()
			l.pass(time.Minute)
			f = l.fold(l.pods(16, Firing)...)
			require.Equal(t, "storm", f.State)
			l.flush(f.Group, f.Token)
			after := l.one(StateFiring)
			require.Equal(t, before.Name, after.Name)
			require.Equal(t, 16, after.Total)
			require.Equal(t, 16, after.Firing)
			require.Greater(t, after.Revision, before.Revision)

			l.pass(time.Minute)
			f = l.fold(l.pods(16, Resolved)...)
			l.flush(f.Group, f.Token)
			require.Equal(t, "AllResolved", l.one(StateResolved).Reason)
			require.Len(t, l.objects, 1, "no second one")
		})
	}
}

func TestAnEmptiedRedisGoesOnWithTheSameSingles(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(3, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.fold(l.alert("web-0", Firing), l.alert("web-1", Resolved))
	l.reimport()
	l.flush(f.Group, "")
	require.Len(t, l.open(), 2)
	require.Equal(t, "AllResolved", l.one(StateResolved).Reason)
	require.Len(t, l.objects, 3, "no second one")
	l.pass(5 * time.Hour)
	l.sweep()
	require.Empty(t, l.open(), "what nobody mentions again is ended")
}

func TestGroupsNobodyMentionsAgainAreEndedAndDeleted(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	l.flush(f.Group, f.Token)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.reimport()
	l.pass(5 * time.Hour)
	l.sweep()
	require.Equal(t, "Quiet", l.one(StateResolved).Reason)
	l.pass(168 * time.Hour)
	l.sweep()
	require.Empty(t, l.objects)
}

// Each key of a group in turn is lost, and the index of its shard.
func TestAPartlyLostGroupIsImportedAlone(t *testing.T) {
	group := GroupID("default", map[string]string{"alertname": "PodDown"})
	k, shard := newKeyspace(""), ShardOf(group)
	keys := append(k.group(group).list(), k.due(shard), k.groups(shard))
	for _, key := range keys {
		name := key[strings.Index(key, "}")+1:]
		for _, storm := range []bool{true, false} {
			l := newLab(t, nil)
			n := 4
			if storm {
				n = 15
			}
			f := l.fold(l.pods(n, Firing)...)
			l.flush(f.Group, f.Token)
			require.NoError(t, l.rdb.Del(l.ctx, key).Err())
			l.pass(time.Minute)
			f = l.fold(l.pods(n, Firing)...)
			if _, err := l.Snapshot(l.ctx, group, f.Token, true); err != nil {
				require.ErrorIs(t, err, ErrNotImported, name)
				l.reimport()
			}
			l.pass(time.Minute)
			f = l.fold(l.pods(n, Firing)...)
			l.flush(group, f.Token)
			total := 0
			for _, o := range l.open() {
				total += o.Firing
			}
			require.Equal(t, n, total, "%s, storm %v", name, storm)
			if storm {
				l.one(StateFiring)
			}
			l.pass(time.Minute)
			f = l.fold(l.pods(n, Resolved)...)
			l.flush(group, f.Token)
			require.Empty(t, l.open(), "%s, storm %v", name, storm)
			if storm {
				require.Len(t, l.objects, 1, "%s: no second one", name)
			} else {
				require.Len(t, l.objects, n, "%s: no second ones", name)
			}
		}
	}
}

func TestARedisWhoseClockIsBehind(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	l.flush(f.Group, f.Token)
	before := l.one(StateFiring)
	l.pass(-time.Hour)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.reimport()
	f = l.fold(func() []Alert {
		alerts := l.pods(16, Firing)
		for i := range alerts {
			alerts[i].NotifiedAt = alerts[i].NotifiedAt.Add(61 * time.Minute)
		}
		return alerts
	}()...)
	l.flush(f.Group, f.Token)
	after := l.one(StateFiring)
	require.Equal(t, before.Name, after.Name)
	require.Greater(t, after.Revision, before.Revision)
	require.Equal(t, 16, after.Total)
}

func TestAHandEditedRevisionIsOvertaken(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(15, Firing)...)
	s, err := l.Snapshot(l.ctx, f.Group, f.Token, true)
	require.NoError(t, err)
	edited := s.Objects[0].Revision + 1_000_000
	due, err := l.Settle(
		l.ctx,
		s,
		[]Confirmed{{Name: s.Objects[0].Name, Namespace: "stormfold", Revision: edited, ResourceVersion: "9"}},
		0,
	)
	require.NoError(t, err)
	require.False(t, due.After(l.now.Add(time.Second)), "still due")
	l.pass(time.Second)
	s, err = l.Snapshot(l.ctx, f.Group, "", true)
	require.NoError(t, err)
	require.Greater(t, s.Objects[0].Revision, edited)
	require.Equal(t, "9", s.Objects[0].ResourceVersion)
}

// A group that is due and of which nothing is left, in Redis or in Kubernetes, leaves the index too.
func TestAGroupThatIsWhollyLostIsForgotten(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(3, Firing)...)
	require.NoError(t, l.rdb.Del(l.ctx, l.keys.group(f.Group).list()...).Err())
	l.pass(time.Minute)
	_, err := l.Snapshot(l.ctx, f.Group, "", false)
	require.ErrorIs(t, err, ErrNotImported)
	l.imported()
	s, err := l.Snapshot(l.ctx, f.Group, "", false)
	require.NoError(t, err)
	require.Nil(t, s)
	require.EqualValues(t, 1, l.rdb.ZCard(l.ctx, l.keys.due(ShardOf(f.Group))).Val(), "the import's mark")
	require.Empty(t, l.rdb.Keys(l.ctx, "*:g:*").Val())
}

// One pod at a time imports a shard; who lost the lease cannot mark it as imported.
func TestImportLease(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	first, err := l.BeginImport(l.ctx, 3, "", time.Minute)
	require.NoError(t, err)
	require.NotNil(t, first)
	second, err := l.BeginImport(l.ctx, 3, "", time.Minute)
	require.NoError(t, err)
	require.Nil(t, second, "it is leased")
	require.NoError(t, l.ExtendImport(l.ctx, first))
	require.NoError(t, l.AbortImport(l.ctx, first))
	second, err = l.BeginImport(l.ctx, 3, "", time.Minute)
	require.NoError(t, err)
	require.NotNil(t, second, "it was given back")
	require.ErrorIs(t, l.ExtendImport(l.ctx, first), ErrUnavailable)
	require.ErrorIs(t, l.FinishImport(l.ctx, first), ErrUnavailable)
	require.NoError(t, l.AbortImport(l.ctx, first), "nothing is left to give back, and what another has stays")
	require.NoError(t, l.FinishImport(l.ctx, second))
	third, err := l.BeginImport(l.ctx, 3, "", time.Minute)
	require.NoError(t, err)
	require.Nil(t, third, "it is imported")
}

// What waits for an import is bounded, and what does not fit is refused, not dropped.
func TestTooManyWaitForTheImport(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.MaxAlerts = 100 })
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	groups := Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(1000, Firing)})
	_, err := l.Fold(l.ctx, groups, func(Group) string { return "stormfold" })
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "imported")
	waiting := l.keys.group(groups[0].ID).waiting
	require.LessOrEqual(t, l.rdb.HLen(l.ctx, waiting).Val(), int64(3*100+foldAlerts))
	require.Positive(t, l.rdb.HLen(l.ctx, waiting).Val())
}

// Of what waits the latest report counts, whatever the order, and its replay is one fold.
func TestWhatWaitsIsJoined(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	old := l.pods(15, Firing)
	l.pass(time.Second)
	over := l.pods(5, Resolved)
	require.Equal(t, "waiting", l.fold(over...).State)
	f := l.fold(old...)
	require.Equal(t, "waiting", f.State)
	require.Empty(t, f.Token)
	require.Empty(t, f.Transitions)
	l.imported()
	l.flush(f.Group, "")
	require.Zero(t, l.rdb.Exists(l.ctx, l.keys.group(f.Group).waiting).Val())
	storm := l.one(StateFiring)
	require.True(t, storm.Storm)
	require.Equal(t, 10, storm.Firing)
	require.Equal(
		t,
		map[string]string{"alertname": "PodDown", "namespace": "shop", "severity": "warning"},
		storm.CommonLabels,
	)
	alerts := storm.Total
	for _, o := range l.in(StateResolved) {
		require.Equal(t, 1, o.Total)
		alerts++
	}
	require.Equal(t, 15, alerts)
}

// A complete notification that was sent before a truncated one of the same group does not end the truncation, whatever
// else has waited for an import.
func TestALateCompleteNotificationAfterAnImport(t *testing.T) {
	l := newLab(t, nil)
	send := func(truncated bool, alerts ...Alert) Folded {
		batch := Batch{Alerts: alerts, Truncated: truncated, GroupKey: "aa"}
		folded, err := l.Fold(l.ctx, Split(config.Policies{List: []config.Policy{l.policy}}, batch),
			func(Group) string { return "stormfold" })
		require.NoError(t, err)
		return folded[0]
	}
	late := l.pods(8, Firing)
	l.fold(l.pods(8, Firing)...)
	l.pass(time.Minute)
	f := send(true, l.pods(8, Firing)...)
	l.flush(f.Group, f.Token)
	require.True(t, l.one(StateFiring).Truncated)

	require.NoError(t, l.rdb.Del(l.ctx, l.keys.epoch(ShardOf(f.Group))).Err())
	l.pass(time.Minute)
	require.Equal(t, "waiting", l.fold(l.alert("web-8", Firing)).State)
	l.imported()
	send(false, late...)
	l.pass(time.Minute)
	l.flush(f.Group, "")
	require.True(t, l.one(StateFiring).Truncated)
}

// What Redis decides about an imported incident is its own knowledge from then on.
func TestAnImportedIncidentThatChanges(t *testing.T) {
	for name, change := range map[string]func(*lab){
		"a storm takes an alert": func(l *lab) { l.fold(l.alert("web-15", Firing)) },
		"a storm resolves":       func(l *lab) { l.fold(l.pods(15, Resolved)...) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			f := l.fold(l.pods(15, Firing)...)
			l.flush(f.Group, f.Token)
			storm := l.one(StateFiring).Name
			require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
			l.reimport()
			imported := func() bool {
				v, err := l.read(l.ctx, f.Group, storm, nil)
				require.NoError(t, err)
				e, err := v.entry(storm)
				require.NoError(t, err)
				return e.Imported
			}
			require.True(t, imported())
			l.pass(time.Minute)
			change(l)
			require.False(t, imported())
		})
	}
}

// A storm without its entry is a part that Redis has lost, as a key is: the group comes back from Kubernetes.
func TestAStormWithoutItsEntry(t *testing.T) {
	for name, noticed := range map[string]func(*lab, Folded){
		"noticed by a fold": func(l *lab, _ Folded) { require.Equal(t, "waiting", l.fold(l.pods(15, Firing)...).State) },
		"noticed by a snapshot": func(l *lab, f Folded) {
			_, err := l.Snapshot(l.ctx, f.Group, "", true)
			require.ErrorIs(t, err, ErrNotImported)
		},
		"noticed by the import": func(l *lab, f Folded) {
			require.NoError(t, l.rdb.Del(l.ctx, l.keys.epoch(ShardOf(f.Group))).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			f := l.fold(l.pods(15, Firing)...)
			l.flush(f.Group, f.Token)
			storm := l.one(StateFiring).Name
			require.NoError(t, l.rdb.HDel(l.ctx, l.keys.group(f.Group).objects, storm).Err())
			l.pass(time.Minute)
			noticed(l, f)
			l.reimport()
			l.pass(time.Minute)
			f = l.fold(l.pods(16, Firing)...)
			l.flush(f.Group, f.Token)
			require.Equal(t, storm, l.one(StateFiring).Name)
			require.Equal(t, 16, l.one(StateFiring).Total)
		})
	}
}
