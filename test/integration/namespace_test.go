package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// In namespaceMode alert an incident stands next to its workload; where there is no such namespace, or it is on its way
// out, in the function's. The ClusterRole of deploy/ is enough for it.
func TestIncidentsNextToTheWorkload(t *testing.T) {
	own := testbed.ControlPlane(t)
	own.Apply(t, filepath.Join(root, "deploy/namespace"), filepath.Join(root, "deploy/crd"), allNamespaces(t))
	own.WaitCRD(t, "incidents.stormfold.io")
	own.CreateNamespace(t, "shop")
	own.CreateNamespace(t, "leaving")
	own.Kubectl(t, "delete", "namespace", "leaving", "--wait=false")
	admin, err := projector.NewClient(own.Config, 10*time.Second, 100, 100)
	require.NoError(t, err)

	p := startPod(t, "STORMFOLD_NAMESPACE_MODE=alert", "STORMFOLD_REDIS_URL="+testbed.Redis(t).URL,
		"KUBECONFIG="+own.ServiceAccountKubeconfig(t, "stormfold", "stormfold"))
	for alertNamespace, want := range map[string]string{"shop": "shop", "nowhere": "stormfold", "leaving": "stormfold"} {
		s := &scene{t: t, pod: p, namespace: alertNamespace}
		s.notify(s.pods("PodDown", 6, "firing")...)
		s.notify(s.pods("PodDown", 8, "firing")...)
		eventually(t, 20*time.Second, func() error {
			list, err := admin.List(t.Context(), "", metav1.ListOptions{
				LabelSelector: "stormfold.io/alert-namespace=" + alertNamespace,
			})
			if err != nil {
				return err
			}
			if len(list.Items) != 1 || list.Items[0].Namespace != want || list.Items[0].Status.Alerts.Total != 8 {
				return fmt.Errorf("want one incident of 8 alerts in %s, have %s", want, summary(list.Items))
			}
			return nil
		})
	}
}

// allNamespaces is a kustomization of deploy/rbac with the component for all namespaces.
func allNamespaces(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "rbac"), os.DirFS(filepath.Join(root, "deploy/rbac"))))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"),
		[]byte("resources: [rbac]\ncomponents: [rbac/all-namespaces]\n"), 0o644))
	return dir
}
