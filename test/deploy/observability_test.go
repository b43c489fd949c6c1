package deploy

import (
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// podMonitor is as much of one as is looked at.
type podMonitor struct {
	Spec struct {
		Selector            struct{ MatchLabels map[string]string }
		PodMetricsEndpoints []struct {
			Port, Path  string
			Relabelings []struct{ Regex, Replacement, TargetLabel string }
		}
	}
}

// TestMonitorsFindThePods: each monitor selects the pods of one workload, and names a port that these have.
func TestMonitorsFindThePods(t *testing.T) {
	objects := render(t, pieces(t)["observability"])
	// What Knative adds to the pods of a Service, and how it calls the port of its container.
	added := labels.Set{"serving.knative.dev/service": "stormfold"}
	const userPort = "user-port"
	all := workloads(t, objects)
	for name, want := range map[string]string{
		"stormfold": "Service/stormfold", "stormfold-source": "Deployment/stormfold-source",
		"stormfold-dead-letters": "Deployment/stormfold-dead-letters",
	} {
		var m podMonitor
		require.NoError(t, convert(find(t, objects, "PodMonitor", name).Object, &m))
		selector := labels.SelectorFromSet(m.Spec.Selector.MatchLabels)
		var found []string
		for _, w := range all {
			have := labels.Set(maps.Clone(w.template.Labels))
			ports := w.template.Spec.Containers[0].Ports
			if strings.HasPrefix(w.name, "Service/") {
				maps.Copy(have, added)
				ports = []corev1.ContainerPort{{Name: userPort, ContainerPort: ports[0].ContainerPort}}
			}
			if !selector.Matches(have) {
				continue
			}
			found = append(found, w.name)
			require.Len(t, m.Spec.PodMetricsEndpoints, 1)
			port := m.Spec.PodMetricsEndpoints[0].Port
			require.Contains(t, names(ports), port, name)
		}
		require.Equal(t, []string{want}, found, name)
	}

	// The function's metrics are at the port beside the one that is declared, for addresses of any kind.
	var m podMonitor
	require.NoError(t, convert(find(t, objects, "PodMonitor", "stormfold").Object, &m))
	r := m.Spec.PodMetricsEndpoints[0].Relabelings[0]
	anchored := regexp.MustCompile("^(?:" + r.Regex + ")$")
	require.Equal(
		t,
		"10.0.0.1:9464",
		anchored.ReplaceAllString("10.0.0.1:8080", strings.ReplaceAll(r.Replacement, "$1", "${1}")),
	)
	require.Equal(
		t,
		"[fd00::1]:9464",
		anchored.ReplaceAllString("[fd00::1]:8080", strings.ReplaceAll(r.Replacement, "$1", "${1}")),
	)
}

func names(ports []corev1.ContainerPort) (out []string) {
	for _, p := range ports {
		out = append(out, p.Name)
	}
	return out
}

// TestRulesAreTheSame: the PrometheusRule has what the plain rules file has, and the ConfigMap the dashboard.
func TestRulesAreTheSame(t *testing.T) {
	objects := render(t, pieces(t)["observability"])
	var plain map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(file(t, "deploy/observability/rules.yaml")), &plain))
	require.Equal(t, plain, find(t, objects, "PrometheusRule", "stormfold").Object["spec"])

	dashboard := find(t, objects, "ConfigMap", "stormfold-dashboard")
	require.Equal(t, "1", dashboard.GetLabels()["grafana_dashboard"])
	text, _, err := unstructured.NestedString(dashboard.Object, "data", "stormfold.json")
	require.NoError(t, err)
	require.Equal(t, file(t, "deploy/observability/dashboard.json"), text)
	require.Less(t, len(text), 1<<20, "what a ConfigMap holds")
}

// TestObservabilityIsOptional: who has no Prometheus operator can apply everything else.
func TestObservabilityIsOptional(t *testing.T) {
	for _, overlay := range []string{"trial", "production"} {
		for _, o := range render(t, filepath.Join(root, "deploy", overlay)) {
			require.NotContains(t, o.GetAPIVersion(), "monitoring.coreos.com", overlay)
		}
	}
}
