package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stormfold/stormfold/api/events"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/test/testbed"
)

func file(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(content)
}

// TestPoliciesAreTheBuiltIn: who mounts the ConfigMap as it is gets what a function without a file has.
func TestPoliciesAreTheBuiltIn(t *testing.T) {
	require.Equal(t, file(t, "config/policies.yaml"), file(t, "deploy/policies/policies.yaml"))
}

// TestTriggerLetsThroughWhatIsTaken: the types that the function takes, and not its own replies, which would make a
// loop. The documentation names them all.
func TestTriggerLetsThroughWhatIsTaken(t *testing.T) {
	trigger := find(t, render(t, filepath.Join(root, "deploy/eventing")), "Trigger", "stormfold")
	filters, _, err := unstructured.NestedSlice(trigger.Object, "spec", "filters")
	require.NoError(t, err)
	require.Len(t, filters, 1)
	var through []string
	for _, filter := range filters[0].(map[string]any)["any"].([]any) {
		through = append(through, filter.(map[string]any)["exact"].(map[string]any)["type"].(string))
	}
	taken := []string{
		handlers.TypeNotification, handlers.TypeAlert, handlers.TypePing, handlers.TypeResourceAdd,
		handlers.TypeResourceUpdate,
	}
	require.ElementsMatch(t, taken, through)
	for _, eventType := range through {
		require.True(t, handlers.Known(eventType), eventType)
	}
	documented := file(t, "docs/events.md")
	for _, eventType := range append(taken, events.TypeOpened, events.TypeStorm, events.TypeResolved) {
		// A row may name the second of two types by its end.
		end := eventType[strings.LastIndex(eventType, "."):]
		require.True(
			t,
			strings.Contains(documented, "`"+eventType+"`") || strings.Contains(documented, "`"+end+"`"),
			eventType,
		)
	}
	for eventType := range events.Schemas() {
		require.NotContains(t, through, eventType)
	}
}

// TestTrialIgnoresWarningsAboutItself: the Trigger of the trial keeps back Events of Stormfold's own namespace, and
// nothing else.
func TestTrialIgnoresWarningsAboutItself(t *testing.T) {
	trigger := find(t, render(t, filepath.Join(root, "deploy/trial")), "Trigger", "stormfold")
	filters, _, err := unstructured.NestedSlice(trigger.Object, "spec", "filters")
	require.NoError(t, err)
	require.Len(t, filters, 2)
	subject := fmt.Sprintf("/apis/v1/namespaces/%s/events/", trigger.GetNamespace())
	require.Equal(t, map[string]any{"not": map[string]any{"prefix": map[string]any{"subject": subject}}}, filters[1])
}

// TestDocumentedAlertmanager: Alertmanager takes the configuration of docs/install.md, and it is the one that the text
// is about.
func TestDocumentedAlertmanager(t *testing.T) {
	block := regexp.MustCompile("(?s)## Alertmanager\n.*?```yaml\n(.*?)```").FindStringSubmatch(file(t, "docs/install.md"))
	require.Len(t, block, 2)
	testbed.Alertmanager(t, block[1]) // It starts, with each field known to it.
	require.Contains(t, block[1], "send_resolved: true\n")
	require.Contains(t, block[1], "continue: true\n")
	source := find(t, render(t, filepath.Join(root, "deploy/source")), "Service", "stormfold-source")
	require.Contains(t, block[1], fmt.Sprintf("url: http://%s.%s.svc/\n", source.GetName(), source.GetNamespace()))
}

// TestDocumentedNumbers: what the pages say of the manifests.
func TestDocumentedNumbers(t *testing.T) {
	service := read(t, find(t, render(t, filepath.Join(root, "deploy/function")), "Service", "stormfold"))
	template := service.Spec.Template
	page := file(t, "docs/autoscaling.md")
	for row, value := range map[string]string{
		"`min-scale` | %s (":                     template.Metadata.Annotations["autoscaling.knative.dev/min-scale"],
		"`max-scale` | %s |":                     template.Metadata.Annotations["autoscaling.knative.dev/max-scale"],
		"`target-utilization-percentage` | %s |": template.Metadata.Annotations["autoscaling.knative.dev/target-utilization-percentage"],
		"`containerConcurrency` | %s |":          fmt.Sprint(*template.Spec.ContainerConcurrency),
		", limit %s |":                           strings.Replace(template.Spec.Containers[0].Resources.Limits.Memory().String(), "Mi", " MiB", 1),
	} {
		require.Contains(t, page, fmt.Sprintf(row, value))
	}
}
