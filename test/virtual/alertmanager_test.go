package virtual

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	start = time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC)
	own   = Route{
		GroupBy: []string{"namespace"}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute,
		RepeatInterval: 4 * time.Hour,
	}
)

func firing(name string, from, to time.Duration) Firing {
	labels := map[string]string{"alertname": name, "namespace": "shop"}
	return Firing{Labels: labels, From: start.Add(from), To: start.Add(to)}
}

// told says when the webhook was called, and for each alert its name with + when it fired and - when it was over.
func told(t *testing.T, until time.Duration, firings ...Firing) []string {
	t.Helper()
	m := NewAlertmanager(own)
	Send(firings, m, start.Add(until))
	var out []string
	for _, n := range m.Notified {
		var data struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		require.NoError(t, json.Unmarshal(n.Data, &data))
		line := n.At.Sub(start).String()
		for _, a := range data.Alerts {
			line += fmt.Sprintf(" %s%s", map[string]string{"firing": "+", "resolved": "-"}[a.Status], a.Labels["alertname"])
		}
		out = append(out, line)
	}
	return out
}

// A group is reported after group_wait, again at the group_interval after something in it changed, and otherwise only
// once the repeat_interval is over. What has ended is reported once.
func TestWhenAGroupIsToldOf(t *testing.T) {
	require.Equal(t, []string{
		"30s +A", "5m30s +A +B", "10m30s +A -B", "4h15m30s +A", "8h20m30s +A", "9h0m30s -A",
	}, told(t, 10*time.Hour, firing("A", 0, 9*time.Hour), firing("B", time.Minute, 10*time.Minute)))
}

// Once all of a group is over it is forgotten, and the next alert waits for group_wait again.
func TestAGroupThatIsOver(t *testing.T) {
	require.Equal(t, []string{"30s +A", "5m30s -A", "7m30s +A", "12m30s -A"},
		told(t, time.Hour, firing("A", 0, 2*time.Minute), firing("A", 7*time.Minute, 8*time.Minute)))
}

// What begins and ends before anybody was told is never told.
func TestAnAlertThatNobodyHeardOf(t *testing.T) {
	require.Empty(t, told(t, time.Hour, firing("A", 0, 20*time.Second)))
	require.Equal(t, []string{"30s +A", "1h10m30s -A"},
		told(t, 2*time.Hour, firing("A", 0, 70*time.Minute)), "the end is told at the next group_interval")
}

// What Prometheus no longer sends is over four minutes after it was sent last.
func TestPrometheusIsAway(t *testing.T) {
	f := firing("A", 0, time.Hour)
	f.Silent = start.Add(10*time.Minute + 30*time.Second)
	require.Equal(t, []string{"30s +A", "15m30s -A"}, told(t, 2*time.Hour, f))
	require.Equal(t, start.Add(14*time.Minute), f.Over())
}
