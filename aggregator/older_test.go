package aggregator

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// older folds an event the way the function does when the policies in force are others than those of open groups.
func (l *lab) older(policies config.Policies, alerts ...Alert) []Folded {
	l.t.Helper()
	var kinds []Kind
	for shard := range Shards {
		swept, err := l.Sweep(l.ctx, shard)
		require.NoError(l.t, err)
		for _, text := range swept.Kinds {
			kind, err := ParseKind(text)
			require.NoError(l.t, err)
			if kind.String() != KindOf(&policies.List[0]).String() {
				kinds = append(kinds, kind)
			}
		}
	}
	out := OlderGroups(kinds, Split(policies, Batch{Alerts: alerts}))
	require.NoError(l.t, l.FoldOlder(l.ctx, &out))
	folded, err := l.Fold(l.ctx, out.Rest, func(Group) string { return "stormfold" })
	require.NoError(l.t, err)
	out.Folded = slices.DeleteFunc(out.Folded, func(f Folded) bool { return f.Group == "" })
	return append(out.Folded, folded...)
}

// What was open when the policies changed ends when its alerts do, and no alert is in two incidents.
func TestPoliciesChangeWhileIncidentsAreOpen(t *testing.T) {
	for name, forgets := range map[string]bool{"": false, "Redis emptied": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(p *config.Policy) { p.Threshold = 4 })
			storm := l.pods(6, Firing)
			f := l.fold(storm...)
			l.flush(f.Group, f.Token)
			lone := l.alert("db-0", Firing)
			lone.Labels["alertname"], lone.Fingerprint = "DiskFull", "00000000000000d1"
			f = l.fold(lone)
			l.flush(f.Group, f.Token)
			require.Len(t, l.open(), 2)

			changed := l.policy
			changed.GroupBy, changed.Route = []string{"namespace", "alertname"}, "1"
			policies := config.Policies{List: []config.Policy{changed}}
			if forgets {
				require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
				for _, o := range l.open() {
					labels := map[string]string{"alertname": o.CommonLabels["alertname"]}
					i := Imported{Group: GroupID("default", labels), Policy: "default", Labels: labels, Object: o}
					_, err := l.Import(l.ctx, i, &changed)
					require.NoError(t, err)
				}
				l.imported()
			}
			l.pass(time.Minute)
			again := append(l.pods(7, Firing), lone) // Six that are known, and a new one.
			for i := range again {
				again[i].NotifiedAt = l.now
			}
			l.older(policies, again...)
			l.pass(time.Minute)
			l.sweep()
			require.Len(t, l.open(), 3)
			over := l.pods(7, Resolved)
			lone.Status, lone.NotifiedAt, lone.EndsAt = Resolved, l.now, l.now
			l.older(policies, append(over, lone)...)
			l.pass(time.Minute)
			l.sweep()
			require.Empty(t, l.open())
			require.Len(t, l.in(StateResolved), 3)
			for _, o := range l.in(StateResolved) {
				require.Equal(t, "AllResolved", o.Reason)
			}
			for shard := range Shards {
				swept, err := l.Sweep(l.ctx, shard)
				require.NoError(t, err)
				require.Empty(t, swept.Kinds, "nothing is open")
			}
		})
	}
}

// A group of earlier policies that takes none of an event's alerts may have aged by it, and then what happened is followed up.
func TestAnOlderGroupThatOnlyAgesIsFollowedUp(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold, p.MaxDuration = 1, time.Hour })
	f := l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	changed := l.policy
	changed.GroupBy, changed.Route = []string{"namespace", "alertname"}, "1"
	l.pass(time.Hour)
	folded := l.older(config.Policies{List: []config.Policy{changed}}, l.alert("web-9", Firing))
	require.Len(t, folded, 2)
	require.Equal(t, f.Group, folded[0].Group)
	require.NotEmpty(t, folded[0].Token)
	require.Equal(t, []TransitionType{Closed, Opened}, types(folded[0]))
}

// Where a pod that knew nothing of the older group has let an alert fire in another, too, both end with it.
func TestAnAlertThatFiresInAnOlderGroupAndInAnother(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Threshold = 1 })
	f := l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	l.policy.GroupBy, l.policy.Route = []string{"namespace", "alertname"}, "1"
	l.pass(time.Minute)
	f = l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	require.Len(t, l.open(), 2)
	l.pass(time.Minute)
	folded := l.older(config.Policies{List: []config.Policy{l.policy}}, l.alert("web-0", Resolved))
	require.Len(t, folded, 2)
	l.pass(time.Minute)
	l.sweep()
	require.Len(t, l.in(StateResolved), 2)
}
