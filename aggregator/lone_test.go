package aggregator

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/subject"
	"github.com/stormfold/stormfold/test/testbed"
)

// Every pod and every delivery of an event makes the same name; another alert, another start or another group makes
// another.
func TestLoneNames(t *testing.T) {
	l := &lab{now: epoch}
	policies := testbed.OnePolicy()
	lone := func(a Alert, at time.Time) Object {
		group := Split(policies, Batch{Alerts: []Alert{a}})[0]
		s := Lone(group, group.Alerts[0], "stormfold", at)
		require.Equal(t, group.ID, s.Group)
		require.Equal(t, at.UnixMilli(), s.Objects[0].Revision)
		return s.Objects[0]
	}
	alert := l.alert("web-0", Firing)
	first := lone(alert, epoch)
	require.Regexp(t, "^pod-down-[a-z2-7]{10}$", first.Name)
	require.Empty(t, validation.IsDNS1123Label(first.Name))
	require.Equal(t, first.Name, lone(alert, epoch.Add(time.Minute)).Name)
	require.Equal(t, []Member{{
		Fingerprint: alert.Fingerprint, Firing: true, StartsAt: epoch, Severity: "warning",
		Resource: subject.Resource{Kind: "Pod", Namespace: "shop", Name: "web-0"},
	}}, first.Members)

	names := map[string]bool{first.Name: true}
	again, other, elsewhere := alert, l.alert("web-1", Firing), l.alert("web-0", Firing)
	again.StartsAt = epoch.Add(time.Hour)
	elsewhere.Labels["cluster"] = "eu"
	for _, a := range []Alert{again, other, elsewhere} {
		name := lone(a, epoch).Name
		require.False(t, names[name], name)
		names[name] = true
	}
}

// Alerts that were passed through, enough for a storm, become one when they reach their group, however long Redis
// was away, and whether the import comes before their event is delivered again or after it.
func TestLoneIncidentsBecomeAStorm(t *testing.T) {
	for name, c := range map[string]struct {
		away    time.Duration
		apart   time.Duration
		said    func(*lab) []Alert
		fold    bool // The event comes before the import, too.
		storm   int
		singles int
	}{
		"imported first": {said: func(l *lab) []Alert { return l.pods(8, Firing) }, storm: 8},
		"folded first":   {said: func(l *lab) []Alert { return l.pods(8, Firing) }, fold: true, storm: 8},
		"imported first, long ago": {away: time.Hour, said: func(l *lab) []Alert { return l.pods(8, Firing) },
			storm: 8},
		"folded first, long ago": {away: time.Hour, said: func(l *lab) []Alert { return l.pods(8, Firing) },
			fold: true, storm: 8},
		"another one fires": {away: time.Hour, said: func(l *lab) []Alert {
			return []Alert{l.alert("db-0",
				Firing)}
		}, storm: 9},
		"one of them is over": {said: func(l *lab) []Alert { return l.pods(1, Resolved) }, storm: 8},
		"far apart": {apart: time.Minute, said: func(l *lab) []Alert { return l.pods(8, Firing) },
			storm: 8},
		"as far apart as a window holds": {apart: 12 * time.Second, said: func(l *lab) []Alert { return l.pods(8, Firing) },
			storm: 8},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			var group Group
			var written []Imported
			for _, a := range l.pods(8, Firing) {
				group = Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: []Alert{a}})[0]
				o := Lone(group, a, "stormfold", l.now).Objects[0]
				o.ResourceVersion = "7"
				l.objects[o.Name] = o
				written = append(written, Imported{Group: group.ID, Policy: "default", Labels: group.Labels, Object: o})
				l.pass(c.apart)
			}
			l.pass(c.away)
			token := ""
			if c.fold {
				token = l.fold(c.said(l)...).Token
			}
			for _, i := range written {
				l.give(i)
			}
			f := l.fold(c.said(l)...)
			l.flush(group.ID, cmp.Or(token, f.Token))
			storm := l.one(StateFiring)
			require.Equal(t, c.storm, storm.Total)
			require.Equal(
				t,
				map[string]string{"alertname": "PodDown", "namespace": "shop", "severity": "warning"},
				storm.CommonLabels,
			)
			for _, m := range storm.Members {
				require.Equal(t, "Pod", m.Resource.Kind, "what Kubernetes knew of an alert is not lost")
				require.Equal(t, "warning", m.Severity)
				require.False(t, m.StartsAt.Before(epoch))
			}
			absorbed := l.in(StateAbsorbed)
			require.GreaterOrEqual(t, len(absorbed), 7)
			for _, o := range absorbed {
				require.Equal(t, storm.Name, o.AbsorbedBy)
			}
		})
	}
}

// A storm that takes in an incident that was passed through shares no label with it that they do not have in common.
func TestAStormThatTakesALoneIncidentLosesItsLabels(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(8, Firing)...)
	l.flush(f.Group, f.Token)
	require.Equal(t, "shop", l.one(StateFiring).CommonLabels["namespace"])
	other := l.alert("db-0", Firing)
	other.Labels["namespace"] = "billing"
	group := Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: []Alert{other}})[0]
	require.Equal(t, f.Group, group.ID)
	o := Lone(group, other, "stormfold", l.now).Objects[0]
	o.ResourceVersion = "7"
	l.objects[o.Name] = o
	l.give(Imported{Group: group.ID, Policy: "default", Labels: group.Labels, Object: o})
	l.pass(time.Minute)
	l.flush(f.Group, "")
	storm := l.one(StateFiring)
	require.Equal(t, 9, storm.Total)
	require.Equal(t, map[string]string{"alertname": "PodDown", "severity": "warning"}, storm.CommonLabels)
}
