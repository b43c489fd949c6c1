package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// The CRD, and with it every incident, is removed and put back: events are still accepted, and open incidents
// are written again.
func TestTheDefinitionIsRemovedAndPutBack(t *testing.T) {
	own := testbed.ControlPlane(t)
	deploy := func(dir string) string { return filepath.Join(root, "deploy", dir) }
	own.Apply(t, deploy("namespace"), deploy("crd"), deploy("rbac"))
	own.WaitCRD(t, "incidents.stormfold.io")
	admin, err := projector.NewClient(own.Config, 10*time.Second, 100, 100)
	require.NoError(t, err)
	p := startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h"), "STORMFOLD_REDIS_URL="+testbed.Redis(t).URL,
		"STORMFOLD_SWEEP_INTERVAL=1s", "KUBECONFIG="+own.ServiceAccountKubeconfig(t, "stormfold", "stormfold"))
	s := newScene(t, p)
	await := func(total int32) {
		t.Helper()
		eventually(t, 30*time.Second, func() error {
			list, err := admin.List(t.Context(), "stormfold", metav1.ListOptions{})
			if err != nil {
				return err
			}
			if len(list.Items) != 1 || list.Items[0].Status.Alerts.Firing != total {
				return fmt.Errorf("want one incident of %d, have %s", total, summary(list.Items))
			}
			return nil
		})
	}
	s.notify(s.pods("PodDown", 6, "firing")...)
	await(6)
	own.Kubectl(t, "delete", "crd", "incidents.stormfold.io", "--wait=true")
	s.notify(s.pods("PodDown", 9, "firing")...)
	own.Apply(t, deploy("crd"))
	own.WaitCRD(t, "incidents.stormfold.io")
	await(9)
}

func TestPoliciesAreReloaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	write := func(text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o644))
		require.NoError(t, os.Rename(path+".new", path))
	}
	policy := "policies: [{name: p, groupBy: [namespace, alertname], threshold: %d, flush: {min: 100ms, max: 1s}}]"
	write(fmt.Sprintf(policy, 5))
	p := startPod(t, "STORMFOLD_POLICIES="+path, "STORMFOLD_POLICIES_RELOAD=1s")
	loads := func(result string, want int) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			r, err := http.Get(p.metrics)
			if err != nil {
				return err
			}
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			line := fmt.Sprintf("stormfold_policy_loads_total{result=%q} %d", result, want)
			if !strings.Contains(string(text), line) {
				return fmt.Errorf("%s is not among the metrics", line)
			}
			return nil
		})
	}
	s := newScene(t, p)
	s.notify(s.pods("PodDown", 3, "firing")...)
	require.Equal(t, 3, len(s.await(func(items []v1alpha1.Incident) error {
		if len(items) != 3 || items[2].Status.State == "" {
			return fmt.Errorf("want 3 incidents, have %s", summary(items))
		}
		return nil
	})))

	write("policies: [{name: p, treshold: 2}]")
	loads("error", 1)
	s.notify(s.alert("Other", "web-0", "firing")) // The last valid one stays in use.

	write(fmt.Sprintf(policy, 2))
	loads("ok", 1)
	a := s.notify(s.pods("Third", 2, "firing")...)
	require.Equal(t, "io.stormfold.incident.storm.v1", a.reply)
	// The group that stands goes on under the new policy, whose threshold it has crossed.
	s.notify(s.pods("PodDown", 3, "resolved")...)
	s.await(func(items []v1alpha1.Incident) error {
		states := map[v1alpha1.State]int{}
		for _, i := range items {
			if i.Spec.AlertName != "PodDown" {
				continue
			}
			states[i.Status.State]++
			if i.Status.State == v1alpha1.StateResolved && i.Status.Alerts != (v1alpha1.AlertCounts{Total: 3, Resolved: 3}) {
				return fmt.Errorf("want a storm of 3, have %s", summary(items))
			}
		}
		if states[v1alpha1.StateResolved] != 1 || states[v1alpha1.StateAbsorbed] != 2 || len(states) != 2 {
			return fmt.Errorf("want a storm that is over and absorbed two, have %s", summary(items))
		}
		return nil
	})
}
