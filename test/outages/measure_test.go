package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/alertmanager"
	"github.com/stormfold/stormfold/internal/replay"
	"github.com/stormfold/stormfold/test/virtual"
)

// One incident of everything that can be wrong: two alerts of two roots are one storm, it ends by quiet while both
// fire, and what Alertmanager repeats after it is a second one. A third alert is about something else than it says.
func TestMeasure(t *testing.T) {
	at := func(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }
	shop := func(pod string) alert {
		labels := map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": pod}
		return alert{
			Fingerprint: alertmanager.Fingerprint(labels), Root: pod, Object: object{"Pod", "shop", pod}, Labels: labels,
			Fired: []span{{at(0), at(600)}},
		}
	}
	a, b, c := shop("a"), shop("b"), shop("c")
	c.Labels["namespace"], c.Fired = "other", []span{{at(0), at(3)}}
	c.Fingerprint = alertmanager.Fingerprint(c.Labels)
	r := recording{name: "all", truth: truth{
		Roots: []root{{ID: "a"}, {ID: "b"}, {ID: "c", Noise: true}}, Alerts: []alert{a, b, c},
	}}
	var firings []virtual.Firing
	for _, a := range r.truth.Alerts {
		firings = append(firings, virtual.Firing{Labels: a.Labels, From: a.Fired[0].From, To: a.Fired[0].To})
	}
	route := alertmanager.Shipped
	route.RepeatInterval = time.Hour
	m := alertmanager.New(route)
	virtual.Send(firings, m, at(100))
	for _, n := range virtual.Webhooks(m.Notified) {
		read, err := replay.Read(r.name, []byte(`{"time":"`+n.At.Format(time.RFC3339)+`","data":`+string(n.Data)+`}`))
		require.NoError(t, err)
		r.notifications = append(r.notifications, read...)
	}
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(policies, []byte(
		"policies: [{name: all, groupBy: [namespace, alertname], threshold: 2, window: 1m, "+
			"quiet: 20m, maxDuration: 1d, cooldown: 1m}]",
	), 0o600))
	loaded, err := config.LoadPolicies(policies)
	require.NoError(t, err)
	row, err := measure(t.Context(), r, loaded)
	require.NoError(t, err)
	require.Equal(t, Row{
		Recording: "all", Roots: 2, Alerts: 3, Opened: 3, PeakOpen: 2, OfTheOutage: 2, Storms: 2,
		WrongSubjects: 1, WrongMerges: 2, EndedWhileFiring: 2, OpenedAnew: 2, ARI: 0, RootsLeft: 2, MixedRoots: 2,
		resources: 5,
	}, row)
}
