package deploy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stormfold/stormfold/test/testbed"
)

// service is a Knative Service as far as func and deploy/function have to agree about it.
type service struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Template struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
			Spec     struct {
				corev1.PodSpec       `json:",inline"`
				ContainerConcurrency *int64 `json:"containerConcurrency"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

// TestFuncDeploysTheSame: a cluster gets the same of func deploy as of deploy/function, with the differences that are
// listed here.
func TestFuncDeploysTheSame(t *testing.T) {
	t.Parallel()
	want := read(t, find(t, render(t, filepath.Join(root, "deploy/function")), "Service", "stormfold"))
	have := read(t, funcDeploy(t, "func-"))
	template, deployed := &want.Spec.Template.Spec, &have.Spec.Template.Spec
	require.Len(t, template.Containers, 1)
	require.Len(t, deployed.Containers, 1)
	ours, theirs := &template.Containers[0], &deployed.Containers[0]

	// func makes pods listen on all addresses by ADDRESS and says when it built; ours listens by func-go's newer name of
	// it.
	drop(t, &ours.Env, "LISTEN_ADDRESS")
	drop(t, &theirs.Env, "ADDRESS")
	drop(t, &theirs.Env, "BUILT")
	// func knows no read-only root file system.
	require.Equal(t, new(true), ours.SecurityContext.ReadOnlyRootFilesystem)
	ours.SecurityContext.ReadOnlyRootFilesystem = nil
	// func writes numbers with a fraction.
	const utilization = "autoscaling.knative.dev/target-utilization-percentage"
	theirs70 := have.Spec.Template.Metadata.Annotations
	theirs70[utilization] = strings.TrimSuffix(theirs70[utilization], ".000000")
	// func names volumes after what is in them, and the image is that of its own build.
	require.Len(t, deployed.Volumes, 1)
	require.Len(t, theirs.VolumeMounts, 1)
	deployed.Volumes[0].Name, theirs.VolumeMounts[0].Name = "policies", "policies"
	// A ConfigMap is mounted read-only in any case, and 8080 is Knative's default port.
	ours.VolumeMounts[0].ReadOnly, ours.Ports = false, nil
	theirs.Image = ours.Image
	// What func says about itself.
	for _, m := range []*metav1.ObjectMeta{&have.Metadata, &have.Spec.Template.Metadata} {
		for _, labels := range []map[string]string{m.Labels, m.Annotations} {
			for key := range labels {
				if strings.Contains(key, "function.knative.dev") || strings.HasPrefix(key, "boson.dev/") {
					delete(labels, key)
				}
			}
		}
	}
	// Knative looks at this one on the Service only.
	delete(have.Spec.Template.Metadata.Labels, "networking.knative.dev/visibility")

	require.Equal(t, want.Metadata.Labels, have.Metadata.Labels)
	require.Equal(t, want.Spec.Template.Metadata.Labels, have.Spec.Template.Metadata.Labels)
	require.Equal(t, want.Spec.Template.Metadata.Annotations, have.Spec.Template.Metadata.Annotations)
	require.ElementsMatch(t, ours.Env, theirs.Env)
	ours.Env, theirs.Env = nil, nil
	require.Equal(t, template, deployed)
}

func read(t *testing.T, o unstructured.Unstructured) service {
	t.Helper()
	var s service
	require.NoError(t, convert(o.Object, &s))
	return s
}

// drop takes a variable out, which has to be there.
func drop(t *testing.T, env *[]corev1.EnvVar, name string) {
	t.Helper()
	for i, e := range *env {
		if e.Name == name {
			*env = append((*env)[:i:i], (*env)[i+1:]...)
			return
		}
	}
	t.Fatalf("no variable %s", name)
}

// funcDeploy lets the real func CLI deploy func.yaml into a namespace of its own and returns the Service that it makes.
// It would then wait until Knative has started it.
func funcDeploy(t *testing.T, prefix string) unstructured.Unstructured {
	t.Helper()
	namespace := cluster.CreateNamespace(t, prefix)
	cluster.ServiceAccountConfig(t, namespace, "stormfold")
	core := cluster.Client.CoreV1()
	_, err := core.Secrets(namespace).
		Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "stormfold-redis"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = core.ConfigMaps(namespace).
		Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stormfold-policies"}},
			metav1.CreateOptions{})
	require.NoError(t, err)

	dir := t.TempDir()
	content, err := os.ReadFile(filepath.Join(root, "func.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "func.yaml"), content, 0o600))
	binary, err := testbed.Binary("func")
	require.NoError(t, err)
	// With a digest func does not build.
	image := "dev.local/stormfold@sha256:" + strings.Repeat("0", 64)
	process := testbed.Start(
		t,
		"func",
		[]string{"KUBECONFIG=" + cluster.Kubeconfig(t), "XDG_CONFIG_HOME=" + t.TempDir()},
		binary,
		"deploy",
		"--path",
		dir,
		"--namespace",
		namespace,
		"--image",
		image,
		"--build=false",
		"--push=false",
	)
	var objects []unstructured.Unstructured
	testbed.Eventually(t, time.Minute, "the Service that func makes", func(ctx context.Context) error {
		out, err := cluster.RunKubectl(
			ctx,
			"",
			"get",
			"services.serving.knative.dev",
			"stormfold",
			"--namespace",
			namespace,
			"--output=json",
		)
		if err == nil {
			objects, err = decode(out)
		}
		if err != nil && !process.Running() {
			log, _ := process.Log()
			t.Fatalf("func has ended: %s", log)
		}
		return err
	})
	return objects[0]
}
