package integration

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// A node and the pods that a look-up finds on it are one outage, by the built-in policies, on a real Redis and a real
// API server. The roots are what is part of none.
func TestOutageOfANode(t *testing.T) {
	policies, err := filepath.Abs(filepath.Join("..", "..", "config", "policies.yaml"))
	require.NoError(t, err)
	s := newScene(t, startPod(t, "STORMFOLD_POLICIES="+policies))
	node := "node-of-" + s.namespace
	send := func(status string) {
		down := s.alert("KubeNodeNotReady", "", status, "node", node, "job", "kube-state-metrics")
		pods := []map[string]any{down}
		for n := range 6 {
			pod := s.alert("KubePodNotReady", fmt.Sprintf("db%d-0", n), status)
			pod["lookups"] = map[string]string{"node": node}
			pods = append(pods, pod)
		}
		for _, a := range pods {
			sent := s.post("io.prometheus.alertmanager.alert.v1", a)
			require.Equal(t, 2, sent.code/100, sent.body)
		}
	}
	list := func(fields string) []v1alpha1.Incident {
		list, err := incidents.List(t.Context(), "stormfold", metav1.ListOptions{FieldSelector: fields})
		require.NoError(t, err)
		return list.Items
	}
	var outage v1alpha1.Incident
	await := func(state v1alpha1.State, firing int32) {
		eventually(t, 60*time.Second, func() error {
			for _, i := range list("status.type=Outage") {
				if i.Spec.GroupLabels["node"] == node {
					outage = i
					if n := i.Status.Incidents; n.Total == 7 && n.Firing == firing && i.Status.State == state {
						return nil
					}
				}
			}
			return fmt.Errorf("the outage is %s: %s", outage.Status.State, outage.Status.Summary)
		})
	}
	send("firing")
	await(v1alpha1.StateFiring, 7)
	require.Equal(t, &v1alpha1.Subject{Kind: "Node", Name: node}, outage.Status.Subject)
	require.Equal(t, "high", outage.Status.Confidence)
	eventually(t, 60*time.Second, func() error {
		if n := len(list("status.partOf=" + outage.Name)); n != 7 {
			return fmt.Errorf("%d incidents say that they are part of the outage", n)
		}
		return nil
	})
	for _, i := range list("status.partOf=") {
		require.Empty(t, i.Status.PartOf)
	}
	require.True(t, func() bool {
		for _, i := range list("status.partOf=,status.state=Firing") {
			if i.Name == outage.Name {
				return true
			}
		}
		return false
	}(), "the outage is a root")
	send("resolved")
	await(v1alpha1.StateResolved, 0)
}
