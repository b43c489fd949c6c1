package deploy

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestTrialIsOneApply: one command on a cluster that has Knative and nothing of ours, and again without a change.
func TestTrialIsOneApply(t *testing.T) {
	fresh := testbed.ControlPlane(t)
	require.NoError(t, testbed.InstallDefinitions(t.Context(), fresh))
	trial := filepath.Join(root, "deploy/trial")
	out := fresh.Kubectl(t, "apply", "--kustomize", trial)
	for line := range strings.Lines(out) {
		require.Regexp(t, " created\n$", line)
	}
	require.Contains(t, out, "service.serving.knative.dev/stormfold")
	require.NotContains(t, fresh.Kubectl(t, "apply", "--kustomize", trial), "created")
}

// TestAPIServerTakes: the server takes every piece, and its strictest profile of pod security takes every pod that they
// lead to.
func TestAPIServerTakes(t *testing.T) {
	defaultAccount(t)
	all := pieces(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			// Both ways in which people apply, each refusing fields that do not exist.
			for _, way := range []string{"--server-side=false", "--server-side=true"} {
				_, err := cluster.RunKubectl(
					t.Context(),
					"",
					"apply",
					"--dry-run=server",
					"--validate=strict",
					way,
					"--kustomize",
					all[name],
				)
				require.NoError(t, err, way)
			}
			for _, w := range workloads(t, render(t, all[name])) {
				require.NoError(t, createPod(t, w.template), w.name)
			}
		})
	}
}

// TestAPIServerTakesNot: the server refuses what it should, so that the test above can fail.
func TestAPIServerTakesNot(t *testing.T) {
	defaultAccount(t)
	for says, manifest := range map[string]string{
		`unknown field "spec.schedul"`:    `{"apiVersion": "sources.knative.dev/v1", "kind": "PingSource", "metadata": {"name": "p"}, "spec": {"schedul": "x"}}`,
		`spec.delivery.retry`:             `{"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "b"}, "spec": {"delivery": {"retry": "x"}}}`,
		`no matches for kind "PodMonkey"`: `{"apiVersion": "eventing.knative.dev/v1", "kind": "PodMonkey", "metadata": {"name": "p"}}`,
	} {
		_, err := cluster.RunKubectl(
			t.Context(),
			manifest,
			"apply",
			"--namespace=stormfold",
			"--dry-run=server",
			"--validate=strict",
			"--filename=-",
		)
		require.ErrorContains(t, err, says)
	}
	root := corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "root", Image: "busybox:1.37"}}},
	}
	require.ErrorContains(t, createPod(t, root), `violates PodSecurity "restricted:latest"`)
}

// defaultAccount makes what a controller would make, in the namespace of deploy/.
func defaultAccount(t *testing.T) {
	t.Helper()
	cluster.Apply(t, filepath.Join(root, "deploy/namespace"))
	cluster.ServiceAccountConfig(t, "stormfold", "default")
	cluster.ServiceAccountConfig(t, "stormfold", "stormfold")
	source := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "stormfold-source"}} // With look-ups.
	_, err := cluster.Client.CoreV1().ServiceAccounts("stormfold").Create(t.Context(), source, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
}

// createPod asks the server whether it would take a pod.
func createPod(t *testing.T, template corev1.PodTemplateSpec) error {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-", Labels: template.Labels}, Spec: template.Spec}
	if pod.Spec.Containers[0].Name == "" {
		pod.Spec.Containers[0].Name = "user-container" // Knative's default.
	}
	_, err := cluster.Client.CoreV1().
		Pods("stormfold").
		Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
