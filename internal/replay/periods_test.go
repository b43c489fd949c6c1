package replay

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/alertmanager"
	"github.com/stormfold/stormfold/test/virtual"
)

// periods are those of an Alertmanager without any settings, and those that kube-prometheus and kube-prometheus-stack
// ship.
var periods = map[string]alertmanager.Route{
	"Alertmanager's own": repeated(4 * time.Hour),
	"as shipped":         repeated(12 * time.Hour),
}

func repeated(interval time.Duration) alertmanager.Route {
	return alertmanager.Route{
		GroupBy: []string{"namespace"}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: interval,
	}
}

// underBuiltIn replays the notifications of an Alertmanager about firings, under the built-in policies. It returns the
// report and every state that was written, in order.
func underBuiltIn(
	t *testing.T, route alertmanager.Route, until time.Duration, firings ...virtual.Firing,
) (*Report, []v1alpha1.State) {
	t.Helper()
	m := alertmanager.New(route)
	virtual.Send(firings, m, start.Add(until))
	var all []Notification
	for _, n := range virtual.Webhooks(m.Notified) {
		document, err := json.Marshal(n)
		require.NoError(t, err)
		read, err := Read("it", document)
		require.NoError(t, err)
		all = append(all, read...)
	}
	var states []v1alpha1.State
	report := replayed(t, all, Options{Changed: func(_ time.Time, incident v1alpha1.Incident, deleted bool) {
		if state := incident.Status.State; !deleted && state != "" && (len(states) == 0 || states[len(states)-1] != state) {
			states = append(states, state)
		}
	}})
	return report, states
}

func firing(from, to time.Duration, more ...string) virtual.Firing {
	labels := map[string]string{"alertname": "SlowRequests", "namespace": "shop", "severity": "warning"}
	for n := 0; n < len(more); n += 2 {
		labels[more[n]] = more[n+1]
	}
	return virtual.Firing{Labels: labels, From: start.Add(from), To: start.Add(to)}
}

// Alerts start four at a time and are reported every group_interval. They are one storm, whether they are about one
// workload or have no more in common than their name.
func TestAStormThatComesSlowly(t *testing.T) {
	for name, route := range periods {
		for kind, about := range map[string]func(n int) []string{
			"one workload": func(n int) []string { return []string{"pod", "cart-7d9f8b6c5d-4k7b" + "bcdfghjklmnpqrst"[n:n+1]} },
			"one name":     func(n int) []string { return []string{"service", fmt.Sprint("cart-", n)} },
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				var firings []virtual.Firing
				for n := range 16 {
					firings = append(firings, firing(time.Duration(n/4)*5*time.Minute, time.Hour, about(n)...))
				}
				report, _ := underBuiltIn(t, route, 2*time.Hour, firings...)
				require.Equal(t, 1, report.Totals.Incidents-report.Totals.Absorbed)
				require.Equal(t, 1, report.Totals.Storms)
				storm := Foremost(report.Incidents)[0]
				require.Equal(t, []any{"Storm", 16, "AllResolved"}, []any{storm.Type, storm.Alerts, storm.Reason})
			})
		}
	}
}

// An alert that ends and fires again so that each notification says the other is one incident, which is reopened each
// time.
func TestAnAlertThatFlapsEveryGroupInterval(t *testing.T) {
	for name, route := range periods {
		t.Run(name, func(t *testing.T) {
			// Another alert of the group keeps its interval going.
			firings := []virtual.Firing{firing(0, 2*time.Hour, "service", "steady")}
			for n := range 10 {
				at := time.Duration(n) * 10 * time.Minute
				firings = append(firings, firing(at, at+5*time.Minute, "service", "cart"))
			}
			report, _ := underBuiltIn(t, route, 3*time.Hour, firings...)
			require.Equal(t, 2, report.Totals.Incidents)
			reopened := report.Incidents[0].Reopened + report.Incidents[1].Reopened
			require.Equal(t, 9, reopened)
		})
	}
}

// What fires for more than a day is one incident, which is never resolved before its alert is.
func TestADayOfFiring(t *testing.T) {
	for name, route := range periods {
		t.Run(name, func(t *testing.T) {
			report, states := underBuiltIn(t, route, 27*time.Hour, firing(0, 26*time.Hour, "service", "cart"))
			require.Len(t, report.Incidents, 1)
			require.Equal(t, "AllResolved", report.Incidents[0].Reason)
			require.Equal(t, []v1alpha1.State{v1alpha1.StateFiring, v1alpha1.StateResolved}, states)
			require.WithinDuration(t, start.Add(26*time.Hour), report.Incidents[0].EndedAt, 5*time.Minute)
		})
	}
}
