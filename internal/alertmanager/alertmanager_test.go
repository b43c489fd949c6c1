package alertmanager_test

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/alertmanager"
	"github.com/stormfold/stormfold/test/virtual"
)

var (
	start = time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC)
	own   = alertmanager.Route{
		GroupBy: []string{"namespace"}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute,
		RepeatInterval: 4 * time.Hour,
	}
)

func firing(name string, from, to time.Duration) virtual.Firing {
	labels := map[string]string{"alertname": name, "namespace": "shop"}
	return virtual.Firing{Labels: labels, From: start.Add(from), To: start.Add(to)}
}

// notified has a line for each notification: when, why, and the name of each alert with + while it fires and - when it
// is resolved.
func notified(until time.Duration, firings ...virtual.Firing) []string {
	m := alertmanager.New(own)
	virtual.Send(firings, m, start.Add(until))
	var out []string
	for _, n := range m.Notified {
		line := n.At.Sub(start).String() + " " + string(n.Reason) + ":"
		for _, a := range n.Alerts {
			line += " " + sign(a, n.At) + a.Labels["alertname"]
		}
		out = append(out, line)
	}
	return out
}

// A group is reported after group_wait, again at the group_interval after something in it changed, and otherwise only
// once the repeat_interval is over. What has ended is reported once.
func TestWhenAGroupIsReported(t *testing.T) {
	require.Equal(t, []string{
		"30s first notification: +A",
		"5m30s new alerts added: +A +B",
		"10m30s some alerts resolved: +A -B",
		"4h15m30s repeat interval elapsed: +A",
		"8h20m30s repeat interval elapsed: +A",
		"9h0m30s all alerts resolved: -A",
	}, notified(10*time.Hour, firing("A", 0, 9*time.Hour), firing("B", time.Minute, 10*time.Minute)))
}

// Once all of a group is resolved it is forgotten, and the next alert waits for group_wait again.
func TestAGroupThatIsResolved(t *testing.T) {
	require.Equal(t, []string{
		"30s first notification: +A",
		"5m30s all alerts resolved: -A",
		"7m30s first notification: +A",
		"12m30s all alerts resolved: -A",
	}, notified(time.Hour, firing("A", 0, 2*time.Minute), firing("A", 7*time.Minute, 8*time.Minute)))
}

// An alert that fires and resolves within group_wait is not reported.
func TestAnAlertThatIsOverBeforeTheFirstNotification(t *testing.T) {
	require.Empty(t, notified(time.Hour, firing("A", 0, 20*time.Second)))
	require.Equal(t, []string{"30s first notification: +A", "1h10m30s all alerts resolved: -A"},
		notified(2*time.Hour, firing("A", 0, 70*time.Minute)), "the end is reported at the next group_interval")
}

// What Prometheus no longer sends is over four minutes after it was sent last.
func TestPrometheusIsAway(t *testing.T) {
	f := firing("A", 0, time.Hour)
	f.Silent = start.Add(10*time.Minute + 30*time.Second)
	require.Equal(t, []string{"30s first notification: +A", "15m30s all alerts resolved: -A"}, notified(2*time.Hour, f))
	require.Equal(t, start.Add(14*time.Minute), f.Over())
}

// The labels of group_by that an alert has are its group; "..." is all labels.
func TestGroupBy(t *testing.T) {
	for _, c := range []struct{ groupBy, want []string }{
		{nil, []string{`{}:{}`}},
		{[]string{"namespace", "cluster"}, []string{`{}:{namespace="shop"}`}},
		{[]string{"..."}, []string{
			`{}:{alertname="A", namespace="shop"}`, `{}:{alertname="B", namespace="shop"}`,
		}},
	} {
		m := alertmanager.New(alertmanager.Route{GroupBy: c.groupBy, GroupWait: time.Second, GroupInterval: time.Minute})
		firings := []virtual.Firing{firing("A", 0, time.Hour), firing("B", 0, time.Hour)}
		virtual.Send(firings, m, start.Add(time.Minute))
		var got []string
		for _, n := range m.Notified {
			got = append(got, n.GroupKey)
		}
		require.Equal(t, c.want, got)
	}
}

// The reasons follow from two notifications alone, also for a recording that begins in the middle.
func TestReasonsOfNotificationsThatWereSent(t *testing.T) {
	set := func(ids ...model.Fingerprint) alertmanager.Set {
		out := alertmanager.Set{}
		for _, id := range ids {
			out[id] = true
		}
		return out
	}
	const a, b, c, d = 1, 2, 3, 4
	log := alertmanager.Log{}
	for _, n := range []struct {
		group            string
		firing, resolved alertmanager.Set
		want             alertmanager.Reason
	}{
		{"unknown", set(), set(a), alertmanager.AllResolved},
		{"g", set(a), set(b), alertmanager.FirstNotification},
		{"other", set(a), set(), alertmanager.FirstNotification},
		{"g", set(a, c), set(d), alertmanager.NewAlerts},
		{"g", set(a, c), set(), alertmanager.Repeat},
		{"g", set(a), set(c), alertmanager.SomeResolved},
		{"g", set(a), set(c), alertmanager.Repeat},
		{"g", set(), set(a), alertmanager.AllResolved},
		{"g", set(a), set(), alertmanager.FirstNotification},
	} {
		require.Equal(t, n.want, log.Add(n.group, start, n.firing, n.resolved), n)
	}
}
