package informers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/stormfold/stormfold/internal/lookup"
	"github.com/stormfold/stormfold/internal/subject"
	"github.com/stormfold/stormfold/test/testbed"
)

var cluster *testbed.Cluster

func TestMain(m *testing.M) {
	os.Exit(testbed.RunWithControlPlane(m, func(c *testbed.Cluster) error { cluster = c; return nil }))
}

func find(i *lookup.Inventory, labels map[string]string) map[string]string {
	r := subject.Rules(nil).Read(labels)
	return i.Find(&r)
}

func ownedBy(kind, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: kind, Name: name, UID: "1", Controller: &yes}}
}

// A cluster is followed: its objects at the start, later ones, and for a while what was deleted. While the API
// server is away, nothing is forgotten.
func TestFollowsACluster(t *testing.T) {
	client, err := kubernetes.NewForConfig(cluster.Config)
	require.NoError(t, err)
	ctx := t.Context()
	namespace := cluster.CreateNamespace(t, "shop")
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	_, err = client.CoreV1().ServiceAccounts(namespace).Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelTopologyZone: "a"}}}
	node, err = client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	require.NoError(t, err)
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}
	_, err = client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	require.NoError(t, err)
	_, err = client.AppsV1().ReplicaSets(namespace).Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web-5f", OwnerReferences: ownedBy("Deployment", "web")},
		Spec: appsv1.ReplicaSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template,
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	create := func(name string) {
		spec := template.Spec
		spec.NodeName = "n1"
		_, err := client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: ownedBy("ReplicaSet", "web-5f")}, Spec: spec,
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	create("web-5f-1")

	// With the permissions that deploy/source/lookups gives.
	_, err = client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "stormfold"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, cluster.ApplyPaths(ctx, "../../../deploy/source/lookups/rbac.yaml"))
	config, err := clientcmd.BuildConfigFromFlags("", cluster.ServiceAccountKubeconfig(t, "stormfold", "stormfold-source"))
	require.NoError(t, err)
	c, err := Start(config, func(error) {})
	require.NoError(t, err)
	t.Cleanup(c.Stop)
	want := map[string]string{"node": "n1", "zone": "a", "owner": "Deployment/web"}
	knows := func(pod string) {
		t.Helper()
		testbed.Eventually(t, 30*time.Second, pod, func(context.Context) error {
			i := c.Inventory()
			if i == nil {
				return errors.New("not synced")
			}
			if got := find(i, map[string]string{"namespace": namespace, "pod": pod}); !assert.ObjectsAreEqual(want, got) {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
	}
	knows("web-5f-1")
	require.Equal(t, map[string]string{"node": "n1", "zone": "a"},
		find(c.Inventory(), map[string]string{"alertname": "A", "job": "node-exporter", "instance": "10.0.0.1:9100"}))
	create("web-5f-2")
	knows("web-5f-2")
	now := int64(0)
	require.NoError(t, client.CoreV1().Pods(namespace).Delete(ctx, "web-5f-1",
		metav1.DeleteOptions{GracePeriodSeconds: &now}))
	create("web-5f-3")
	knows("web-5f-3") // The deletion was watched before that.
	knows("web-5f-1")
	require.NoError(t, cluster.StopAPIServer())
	knows("web-5f-2")
	require.NoError(t, cluster.StartAPIServer())
	create("web-5f-4")
	knows("web-5f-4")
}

// 10,000 pods take less than 64 MiB, in the informer's cache and in the inventory together.
func TestMemory(t *testing.T) {
	const pods = 10_000
	c := &Cluster{inventory: lookup.New(time.Now)}
	kept := make([]any, 0, pods)
	handler := c.pods()
	before := heap()
	for n := range pods {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: fmt.Sprint("namespace-", n%100), Name: fmt.Sprintf("deployment-%05d-5f7d8c9b4-x2k8v", n),
				UID:             "0d6f0a4e-3f0c-4a53-9d0b-1c1f3c1d9a11",
				Annotations:     map[string]string{"large": strings.Repeat("x", 8<<10)},
				OwnerReferences: ownedBy("ReplicaSet", fmt.Sprintf("deployment-%05d-5f7d8c9b4", n)),
			},
			Spec: corev1.PodSpec{
				NodeName:   fmt.Sprintf("worker-%03d.cluster.example.com", n%200),
				Containers: make([]corev1.Container, 4),
			},
		}
		small, err := trim(pod)
		require.NoError(t, err)
		kept = append(kept, small)
		handler.OnAdd(small, true)
	}
	grown := heap() - before
	t.Logf("%d pods: %.1f MiB", pods, float64(grown)/(1<<20))
	require.Less(t, grown, int64(64<<20))
	runtime.KeepAlive(kept)
	runtime.KeepAlive(c)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
