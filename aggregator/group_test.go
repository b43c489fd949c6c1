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
			r := policies.Subjects.Read(alert.Labels)
			policy, labels := policies.Match(&r), map[string]string{}
			for _, name := range policy.GroupBy {
				if value := r.Value(name); value != "" {
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

// An alert is matched and grouped by what it is about, and known by its identity. Two sources of one identity stay two
// words.
func TestSplitReadsWhatAlertsAreAbout(t *testing.T) {
	policies, err := config.ParsePolicies([]byte(`policies:
- name: nodes
  match: ['subject_kind="Node"']
  groupBy: [cluster, node]
- name: watchdog
  match: ['alertname="Watchdog"']
  drop: true
- name: workloads
  match: ['workload!=""']
  groupBy: [namespace, workload]
- name: default
`))
	require.NoError(t, err)
	alert := func(fingerprint string, labels ...string) Alert {
		a := Alert{Fingerprint: fingerprint, Status: Firing, Labels: map[string]string{}}
		for i := 0; i < len(labels); i += 2 {
			a.Labels[labels[i]] = labels[i+1]
		}
		return a
	}
	deployment := func(fingerprint, exporter string) Alert {
		return alert(
			fingerprint,
			"alertname",
			"KubeDeploymentReplicasMismatch",
			"job",
			"kube-state-metrics",
			"namespace",
			"shop",
			"deployment",
			"cart",
			"pod",
			exporter,
			"service",
			"kube-state-metrics",
			"instance",
			exporter+":8080",
		)
	}
	batch := Batch{Alerts: []Alert{
		deployment("00000001aaaaaaaa", "kube-state-metrics-1"), deployment("00000002aaaaaaaa", "kube-state-metrics-2"),
		alert(
			"00000003aaaaaaaa",
			"alertname",
			"KubePodCrashLooping",
			"namespace",
			"shop",
			"pod",
			"cart-7d9f8b6c5d-4k7sm",
			"node",
			"n1",
		),
		alert(
			"00000004aaaaaaaa",
			"alertname",
			"NodeClockSkewDetected",
			"job",
			"node-exporter",
			"namespace",
			"monitoring",
			"instance",
			"n1:9100",
			"pod",
			"node-exporter-x2k8v",
		),
		alert("00000005aaaaaaaa", "alertname", "Watchdog"),
	}}
	groups, dropped := Keep(Split(policies, batch))
	require.Equal(t, 1, dropped)
	require.Len(t, groups, 2)
	require.Equal(t, map[string]string{"namespace": "shop", "workload": "Deployment/cart"}, groups[0].Labels)
	require.Len(t, groups[0].Alerts, 3)
	one, other, pod := groups[0].Alerts[0], groups[0].Alerts[1], groups[0].Alerts[2]
	require.Equal(t, one.Fingerprint, other.Fingerprint)
	require.Equal(t, []string{"00000001", "00000002", ""}, []string{one.Source, other.Source, pod.Source})
	require.Equal(t, "00000003aaaaaaaa", pod.Fingerprint)
	require.Equal(t, map[string]string{"node": "n1"}, groups[1].Labels)
	require.Equal(t, "n1", groups[1].Alerts[0].Reading.Subject.Name)
	require.Equal(t, "00000001aaaaaaaa", batch.Alerts[0].Fingerprint, "the event stays as it was")
}
