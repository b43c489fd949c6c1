package aggregator

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/config"
)

// Whatever the order of the alerts, each is in the group of its own policy and labels, and there is one of each.
func TestSplitPutsEachAlertIntoItsOwnGroup(t *testing.T) {
	policies, err := config.ParsePolicies([]byte(`policies:
- name: nodes
  match: ['node!=""']
  groupBy: [node]
- name: default
  groupBy: [namespace, alertname]
`))
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		alerts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Alert {
			labels := map[string]string{}
			for _, name := range []string{"node", "namespace", "alertname"} {
				if value := rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, name); value != "" {
					labels[name] = value
				}
			}
			return Alert{Labels: labels, Status: rapid.SampledFrom([]Status{Firing, Resolved}).Draw(t, "status")}
		}), 1, 30).Draw(t, "alerts")
		want, got := map[string]int{}, map[string]int{}
		for _, alert := range alerts {
			policy, labels := policies.Match(alert.Labels), map[string]string{}
			for _, name := range policy.GroupBy {
				if value := alert.Labels[name]; value != "" {
					labels[name] = value
				}
			}
			want[GroupID(policy.Name, labels)]++
		}
		for _, group := range Split(policies, Batch{Alerts: alerts}) {
			require.NotContains(t, got, group.ID)
			require.Equal(t, GroupID(group.Policy.Name, group.Labels), group.ID)
			got[group.ID] = len(group.Alerts)
		}
		require.Equal(t, want, got)
	})
}
