package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/replay"
)

// firing is an alert that fires from that many seconds after three o'clock on, with look-ups as JSON.
func firing(second int, labels, lookups string) string {
	at := time.Date(2026, 5, 1, 3, 0, second, 0, time.UTC).Format(time.RFC3339)
	return fmt.Sprintf(`{"time": %q, "data": {"status": "firing", "startsAt": %q, "labels": {"cluster": "prod-1",
		"severity": "warning", %s}, "lookups": {%s}}}`+"\n", at, at, labels, lookups)
}

// resolvedAfter is its end.
func resolvedAfter(second, after int, labels, lookups string) string {
	start := time.Date(2026, 5, 1, 3, 0, second, 0, time.UTC)
	end := start.Add(time.Duration(after) * time.Second).Format(time.RFC3339)
	return fmt.Sprintf(`{"time": %q, "data": {"status": "resolved", "startsAt": %q, "endsAt": %q, "labels": {
		"cluster": "prod-1", "severity": "warning", %s}, "lookups": {%s}}}`+"\n",
		end, start.Format(time.RFC3339), end, labels, lookups)
}

func nodeDown(node string) string {
	return fmt.Sprintf(`"alertname": "KubeNodeNotReady", "node": %q`, node)
}

func podDown(namespace, pod string) string {
	return fmt.Sprintf(`"alertname": "KubePodNotReady", "namespace": %q, "pod": %q`, namespace, pod)
}

func on(node, zone string) string { return fmt.Sprintf(`"node": %q, "zone": %q`, node, zone) }

// saved is what kubectl would print of a cluster some time after the last of the alerts.
func saved(t *testing.T, after time.Duration, alerts ...string) []byte {
	t.Helper()
	notifications, err := replay.Read("alerts", []byte(fmt.Sprint(alerts)[1:len(fmt.Sprint(alerts))-1]))
	require.NoError(t, err)
	there := map[string]v1alpha1.Incident{}
	_, err = replay.Run(t.Context(), notifications, replay.Options{
		Policies: config.Default(), Until: after,
		Changed: func(_ time.Time, incident v1alpha1.Incident, deleted bool) {
			incident.ResourceVersion, incident.UID = "", ""
			incident.CreationTimestamp = metav1.NewTime(time.Date(2026, 5, 1, 3, 1, 0, 0, time.UTC))
			there[incident.Name] = incident
			if deleted {
				delete(there, incident.Name)
			}
		},
	})
	require.NoError(t, err)
	var out [][]byte
	for _, name := range slices.Sorted(maps.Keys(there)) {
		incident := there[name]
		content, err := yaml.Marshal(&incident)
		require.NoError(t, err)
		out = append(out, content)
	}
	return bytes.Join(out, []byte("---\n"))
}

// oneNode is a node that is down with two of its pods, and a pod elsewhere.
func oneNode(t *testing.T) []byte {
	t.Helper()
	return saved(t, 30*time.Second,
		firing(0, nodeDown("worker-7"), on("worker-7", "")),
		firing(20, podDown("shop", "cart-7d9f8b6c5d-gx87d"), on("worker-7", "")),
		firing(21, podDown("orders", "orders-5b6c7d8f9b-5hgtr"), on("worker-7", "")),
		firing(25, podDown("search", "api-7d9f8b6c5d-t2q8j"), on("worker-3", "")))
}

// aZone is a zone with three nodes that are down, each with a pod, and a pod that has recovered.
func aZone(t *testing.T) string {
	t.Helper()
	var alerts []string
	for n := range 3 {
		node := fmt.Sprint("worker-", n+1)
		alerts = append(alerts, firing(n, nodeDown(node), on(node, "a")),
			firing(20+n, podDown(fmt.Sprint("team-", n+1), fmt.Sprint("web-", n)), on(node, "a")))
	}
	alerts = append(alerts, resolvedAfter(21, 60, podDown("team-2", "web-1"), on("worker-2", "a")))
	path := filepath.Join(t.TempDir(), "zone.yaml")
	require.NoError(t, os.WriteFile(path, saved(t, time.Minute, alerts...), 0o600))
	return path
}

const outageFile = "../../docs/recordings/outage.yaml"

// The file that the documentation uses is what the function writes.
func TestIncidentsOfTheDocumentation(t *testing.T) {
	got := oneNode(t)
	if *update {
		require.NoError(t, os.WriteFile(outageFile, got, 0o644))
	}
	want, err := os.ReadFile(outageFile)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// The pictures of outages of a zone and of a node, whose pod has no object any more.
func TestTreeOfOutages(t *testing.T) {
	zone := aZone(t)
	golden(t, "tree-outage.golden", call(t, "", "tree", "-f", zone))
	golden(t, "tree-outage-few.golden", call(t, "", "tree", "-f", zone, "--resources", "1"))
	golden(t, "tree-outage.yaml.golden", call(t, "", "tree", "-f", zone, "-o", "yaml"))

	var left [][]byte
	for document := range bytes.SplitSeq(oneNode(t), []byte("---\n")) {
		if !bytes.Contains(document, []byte("\n  name: kube-pod-not-ready")) {
			left = append(left, document)
		}
	}
	require.Len(t, left, 2, "the node and the outage")
	golden(t, "tree-outage-gone.golden", call(t, string(bytes.Join(left, []byte("---\n"))), "tree", "-f", "-"))
}

func TestExplainIncidentGolden(t *testing.T) {
	zone := aZone(t)
	for name, args := range map[string][]string{
		"explain-member.golden":      {"kube-pod-not-ready-gxqqr5r7cf", "-f", outageFile},
		"explain-root.golden":        {"kube-pod-not-ready-u53w53xb2c", "-f", outageFile},
		"explain-outage.golden":      {"node-prod-1-worker-2-aahczbkm5t", "-f", zone},
		"explain-nested.golden":      {"kube-pod-not-ready-rka7426jlc", "-f", zone},
		"explain-member.json.golden": {"kube-pod-not-ready-gxqqr5r7cf", "-f", outageFile, "-o", "json"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, call(t, "", append([]string{"explain"}, args...)...)) })
	}
	require.Equal(t, "kubectl stormfold: there is no incident other in "+outageFile+"\n",
		call(t, "", "explain", "other", "-f", outageFile).err)
	require.Contains(t, call(t, "", "explain", "a=b", "-f", outageFile).err, "--filename is for the name of an incident")
}

// Other policies than those of the function, and none.
func TestExplainIncidentWithOtherPolicies(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.yaml")
	require.NoError(t, os.WriteFile(none, []byte("policies: [{name: default}]\noutages: []\n"), 0o600))
	rack := filepath.Join(t.TempDir(), "rack.yaml")
	racks := "policies: [{name: default}]\noutages: [{name: rack, groupBy: [rack]}]\n"
	require.NoError(t, os.WriteFile(rack, []byte(racks), 0o600))
	explain := func(policies string) string {
		t.Helper()
		got := call(t, "", "explain", "kube-pod-not-ready-gxqqr5r7cf", "-f", outageFile, "--policies", policies)
		require.Equal(t, exitOK, got.code, got.err)
		return got.out
	}
	require.Contains(t, explain(none), "\nThere are no outage policies.\n")
	require.Contains(t, explain(rack), "\nOutage policies\n  rack: not a member: has no label rack\n\nOutage "+
		"node-prod-1-worker-7-cuysmivzmr is of policy node, which is not among the rack.yaml policies: give those of the "+
		"function with --policies.\n")
}

// one is an incident that begins and, unless to is 0, ends some seconds after three o'clock.
func one(name string, from, to int, labels ...string) v1alpha1.Incident {
	i := v1alpha1.Incident{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "stormfold", Labels: map[string]string{}}}
	at := func(second int) *metav1.Time {
		return &metav1.Time{Time: time.Date(2026, 5, 1, 3, 0, second, 0, time.UTC)}
	}
	i.Status = v1alpha1.IncidentStatus{
		State: v1alpha1.StateFiring, Type: v1alpha1.TypeAlert, StartedAt: at(from), Labels: map[string]string{},
	}
	if to > 0 {
		i.Status.State, i.Status.ResolvedAt = v1alpha1.StateResolved, at(to)
	}
	for _, l := range labels {
		label, value, _ := strings.Cut(l, "=")
		i.Status.Labels[label] = value
	}
	return i
}

// Every sentence that says why an incident is not part of an outage.
func TestSentencesOfExplain(t *testing.T) {
	node, pod := []string{"node=w", "subject_kind=Node"}, []string{"node=w", "subject_kind=Pod"}
	absorbed := one("a", 0, 0, node...)
	absorbed.Status.State, absorbed.Status.AbsorbedBy = v1alpha1.StateAbsorbed, "other"
	outage := one("node-w-aaaaaaaaaa", 7200, 0, node...)
	outage.Status.Type, outage.Spec.Policy = v1alpha1.TypeOutage, "node"
	outage.Spec.GroupLabels = map[string]string{"node": "w"}
	outage.Labels[v1alpha1.LabelGroup], _ = aggregator.OutageGroup(&config.Default().Outages[0], outage.Spec.GroupLabels)
	namespaces := func(n int) []v1alpha1.Incident {
		var out []v1alpha1.Incident
		for i := range n {
			out = append(out, one(fmt.Sprintf("%c", 'a'+i), i, 0, "policy=workloads", fmt.Sprint("namespace=team-", i)))
		}
		return out
	}
	zone := func(n int, labels ...string) v1alpha1.Incident {
		return one(fmt.Sprintf("%c", 'a'+n), n, 0, append(labels, "zone=z", fmt.Sprint("node=", n))...)
	}
	for _, c := range []struct {
		name, policy string
		all          []v1alpha1.Incident // The first is explained.
		verdict      string
		want         string
	}{
		{"no label", "zone", []v1alpha1.Incident{one("a", 0, 0, pod...)}, verdictNoLabel,
			"not a member: has no label zone"},
		{"no match", "many-namespaces", []v1alpha1.Incident{one("a", 0, 0, "policy=nodes", "severity=info")}, verdictNoMatch,
			`not a member: severity!="info" does not match, it has "info"`},
		{"alone", "node", []v1alpha1.Incident{one("a", 0, 0, pod...)}, verdictThreshold,
			"not a member: 1 of 2 incidents with node=w began within 30m"},
		{"without a cause", "node", []v1alpha1.Incident{one("a", 0, 0, pod...), one("b", 9, 0, pod...)}, verdictNoCause,
			`not a member: 2 incidents began within 30m (threshold 2), but none with node=w is a cause: subject_kind="Node"`},
		{"before the others", "node",
			[]v1alpha1.Incident{one("a", 0, 0, pod...), one("n", 7200, 0, node...), one("b", 7201, 0, pod...), outage},
			verdictThreshold, "not a member: 1 of 2 incidents with node=w began within 30m; " +
				"outage node-w-aaaaaaaaaa of others began at 2026-05-01 05:00:00"},
		{"not written yet", "node", []v1alpha1.Incident{one("a", 1, 0, pod...), one("n", 0, 0, node...)}, verdictPending,
			"not yet a member: shares node=w with 1 other incident (2 incidents within 30m, threshold 2), cause n; " +
				"its outage is not written yet"},
		{"over", "node", []v1alpha1.Incident{one("a", 1, 9, pod...), one("n", 0, 9, node...)}, verdictEnded,
			"not a member: shares node=w with 1 other incident (2 incidents within 30m, threshold 2), cause n, " +
				"but all of them have ended"},
		{"absorbed", "node", []v1alpha1.Incident{absorbed}, verdictAbsorbed, "not a member: is absorbed by other"},
		{"three namespaces", "many-namespaces", namespaces(3), verdictThreshold,
			"not a member: incidents with 3 of 5 values of namespace began within 1m"},
		{"five namespaces", "many-namespaces", namespaces(5), verdictPending,
			"not yet a member: is joined with 4 other incidents (5 values of namespace within 1m, threshold 5); " +
				"its outage is written after a hold of 1m"},
		{"two nodes of a zone", "zone", []v1alpha1.Incident{zone(0, "cause:zone=true"), zone(1, "cause:zone=true"), zone(2)},
			verdictThreshold, "not a member: causes with zone=z and 2 of 3 values of node began within 30m"},
		{"an outage, by an earlier policy", "node", []v1alpha1.Incident{func() v1alpha1.Incident {
			i := outage
			i.Spec.Policy = "zone"
			return i
		}()}, verdictLater, "not a member: an outage can only be part of one of a later policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := explainIncident(config.Default(), "built-in", c.all, c.all[0].Name, "namespace stormfold")
			require.NoError(t, err)
			at := slices.IndexFunc(out.Outages, func(j judged) bool { return j.Policy == c.policy })
			require.Equal(t, []string{c.verdict, c.want}, []string{out.Outages[at].Verdict, out.Outages[at].Sentence})
		})
	}
}

// An outage that was deleted, or is elsewhere.
func TestExplainSaysThatTheOutageIsMissing(t *testing.T) {
	i := one("a", 0, 0)
	i.Status.PartOf = "node-w-aaaaaaaaaa"
	out, err := explainIncident(config.Default(), "built-in", []v1alpha1.Incident{i}, "a", "namespace stormfold")
	require.NoError(t, err)
	require.Equal(t, []string{
		"Outage node-w-aaaaaaaaaa, which a is part of, is not in namespace stormfold.",
		"The incident has no status.labels: it was last written without outage policies.",
	}, out.Notes)
}
