package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/test/testbed"
)

// release does steps of cmd/release and returns the directory that they write.
func release(t *testing.T, steps string, flags ...string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.CommandContext(
		t.Context(),
		"go",
		append([]string{"run", "./cmd/release", "-only", steps, "-out", out}, flags...)...)
	cmd.Dir = root
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	return out
}

// helm runs the real Helm.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := testbed.Helm()
	require.NoError(t, err)
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home,
		"HELM_DATA_HOME="+home)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// template renders the chart.
func template(t *testing.T, chart string, values ...string) (string, error) {
	t.Helper()
	args := []string{
		"template",
		"stormfold",
		chart,
		"--namespace",
		"stormfold",
		"--kube-version",
		"v1.35.0",
		"--include-crds",
	}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return helm(t, args...)
}

// TestChartIsTheKustomizations: the chart renders what the kustomizations do, without the Namespace, which helm install
// makes.
func TestChartIsTheKustomizations(t *testing.T) {
	t.Parallel()
	chart := release(t, "chart")
	chart = filepath.Join(chart, "stormfold-0.1.0.tgz")
	production := []string{"crd", "rbac", "rbac/users", "function", "eventing", "source", "network-policies"}
	const bare = "source.token=false,networkPolicies=false,users=false,redis.trial=true"
	whole := filepath.Join(root, "deploy")
	for name, c := range map[string]struct {
		values []string
		dir    string
	}{
		"production": {nil, filepath.Join(whole, "production")},
		"trial": {[]string{"redis.trial=true", "source.token=false", "function.minScale=1", "kubernetesEvents=true"},
			filepath.Join(whole, "trial")},
		"components": {
			[]string{"redis.trial=true", "function.minScale=1", "namespaceMode=alert", "source.tls=true", "source.direct=true",
				"source.lookups=true",
				"kubernetesEvents=true", "kafka=true", "observability=true"},
			overlay(t, "stormfold", append(slices.Clone(production), "redis/trial"), "namespace-mode-alert", "source/token",
				"source/tls",
				"source/direct", "source/lookups", "eventing/kubernetes-events", "eventing/kafka", "observability"),
		},
		"bare": {[]string{bare, "function.minScale=1"},
			overlay(t, "stormfold", []string{"crd", "rbac", "function", "eventing", "source", "redis/trial"})},
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := template(t, chart, c.values...)
			require.NoError(t, err)
			objects, err := decode(rendered)
			require.NoError(t, err)
			want := slices.DeleteFunc(render(t, c.dir),
				func(o unstructured.Unstructured) bool { return o.GetKind() == "Namespace" })
			require.Equal(t, byName(t, want), byName(t, objects))
		})
	}
	for _, component := range []string{
		"namespaceMode=alert namespace-mode-alert", "source.token=true source/token", "source.tls=true source/tls",
		"source.direct=true source/direct", "kubernetesEvents=true eventing/kubernetes-events",
		"source.lookups=true source/lookups", "kafka=true eventing/kafka",
		"observability=true observability",
	} {
		value, name, _ := strings.Cut(component, " ")
		t.Run(name, func(t *testing.T) {
			rendered, err := template(t, chart, bare, "networkPolicies=true", "function.minScale=1", value)
			require.NoError(t, err)
			objects, err := decode(rendered)
			require.NoError(t, err)
			want := render(t, overlay(t, "stormfold", []string{
				"crd", "rbac", "function", "eventing", "source", "network-policies", "redis/trial"}, name))
			require.Equal(t, byName(t, want), byName(t, objects))
		})
	}
}

// byName are objects as YAML. In lists of named things, such as env, the order counts for nothing.
func byName(t *testing.T, objects []unstructured.Unstructured) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, o := range objects {
		name := fmt.Sprint(o.GetAPIVersion(), " ", o.GetKind(), " ", o.GetNamespace(), "/", o.GetName())
		require.NotContains(t, out, name)
		content, err := sigsyaml.Marshal(inOrder(o.Object))
		require.NoError(t, err)
		out[name] = string(content)
	}
	return out
}

func inOrder(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			value[key] = inOrder(v)
		}
	case []any:
		for i := range value {
			value[i] = inOrder(value[i])
		}
		named := func(v any) string {
			m, _ := v.(map[string]any)
			name, _ := m["name"].(string)
			return name
		}
		slices.SortStableFunc(value, func(a, b any) int { return strings.Compare(named(a), named(b)) })
	}
	return value
}

// TestChartValues: what an installation chooses, and what it cannot.
func TestChartValues(t *testing.T) {
	t.Parallel()
	chart := filepath.Join(release(t, "chart", "-version", "v0.2.0-rc.1", "-repository", "registry.example/storm"),
		"stormfold-0.2.0-rc.1.tgz")
	values := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(values, []byte(`
redis: {url: 'rediss://a:b@redis:6380/0'}
function: {minScale: 3, env: [{name: STORMFOLD_LOG_LEVEL, value: debug}]}
policies: |
  policies:
  - name: ours
    breakdown: ["{{ not a template }}"]
images: {tag: v0.2.1}
`), 0o600))
	out, err := helm(t, "template", "storm", chart, "--namespace", "storm", "--kube-version", "v1.35.0", "--values",
		values)
	require.NoError(t, err)
	objects, err := decode(out)
	require.NoError(t, err)
	for _, o := range objects {
		if o.GetNamespace() != "" {
			require.Equal(t, "storm", o.GetNamespace(), o.GetName())
		}
	}
	require.NotRegexp(t, `(namespace: |\.)stormfold$`, out, "the namespace of the kustomizations")
	service := read(t, find(t, objects, "Service", "stormfold"))
	require.Equal(t, "registry.example/storm/stormfold:v0.2.1", service.Spec.Template.Spec.Containers[0].Image)
	require.Equal(t, "STORMFOLD_LOG_LEVEL", service.Spec.Template.Spec.Containers[0].Env[0].Name)
	require.Equal(t, "3", service.Spec.Template.Metadata.Annotations["autoscaling.knative.dev/min-scale"])
	text, _, err := unstructured.NestedString(find(t, objects, "ConfigMap", "stormfold-policies").Object, "data",
		"policies.yaml")
	require.NoError(t, err)
	require.Equal(t, "policies:\n- name: ours\n  breakdown: [\"{{ not a template }}\"]\n", text)
	url, _, err := unstructured.NestedString(find(t, objects, "Secret", "stormfold-redis").Object, "stringData", "url")
	require.NoError(t, err)
	require.Equal(t, "rediss://a:b@redis:6380/0", url)

	out, err = template(t, chart)
	require.NoError(t, err)
	require.Contains(t, out, "image: registry.example/storm/dead-letters:v0.2.0-rc.1\n")
	for value, says := range map[string]string{
		"redis.trial=true,redis.url=redis://x": "redis.url and redis.trial exclude each other",
		"redis.trail=true":                     "trail",
		"namespaceMode=both":                   "namespaceMode",
	} {
		_, err := template(t, chart, value)
		require.ErrorContains(t, err, says)
	}
}

// TestChartInstalls: on an API server that has Knative and nothing of ours, from the installation to its end.
func TestChartInstalls(t *testing.T) {
	t.Parallel()
	fresh := testbed.ControlPlane(t)
	require.NoError(t, testbed.InstallDefinitions(t.Context(), fresh))
	chart := filepath.Join(release(t, "chart"), "stormfold-0.1.0.tgz")
	with := func(args ...string) string {
		t.Helper()
		out, err := helm(t, append(args, "--namespace", "storm", "--kubeconfig", fresh.KubeconfigPath)...)
		require.NoError(t, err)
		return out
	}
	_, err := helm(t, "lint", chart, "--strict")
	require.NoError(t, err)
	notes := with("install", "stormfold", chart, "--create-namespace", "--set",
		"redis.trial=true,kubernetesEvents=true,observability=true")
	require.Contains(t, notes, "Stormfold v0.1.0 is in namespace storm.")
	require.NotContains(t, notes, "rediss://", "the trial's Redis needs no Secret")
	for _, object := range []string{"crd/incidents.stormfold.io", "services.serving.knative.dev/stormfold",
		"deployment/stormfold-source"} {
		fresh.Kubectl(t, "--namespace=storm", "get", object)
	}
	notes = with("upgrade", "stormfold", chart, "--set", "redis.url=redis://redis:6379/0")
	require.Contains(t, notes, "--from-literal=token=TOKEN")
	_, err = fresh.RunKubectl(t.Context(), "", "--namespace=storm", "get", "statefulset/stormfold-redis")
	require.ErrorContains(t, err, "not found")
	with("uninstall", "stormfold")
	require.Empty(
		t,
		strings.TrimSpace(fresh.Kubectl(t, "--namespace=storm", "get", "deployments,configmaps", "--output=name",
			"--selector=app.kubernetes.io/name=stormfold")),
	)
	fresh.Kubectl(t, "get", "crd/incidents.stormfold.io")
}
