package observability

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/test/testbed"
)

const rulesFile = root + "/deploy/observability/rules.yaml"

// rule is an alert of rules.yaml.
type rule struct {
	Alert, Expr         string
	Labels, Annotations map[string]string
}

// readRules are all alerts of rules.yaml.
func readRules(t *testing.T) []rule {
	t.Helper()
	raw, err := os.ReadFile(rulesFile)
	require.NoError(t, err)
	var file struct {
		Groups []struct{ Rules []rule }
	}
	require.NoError(t, yaml.Unmarshal(raw, &file))
	var out []rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	require.NotEmpty(t, out)
	return out
}

// TestRules runs promtool's tests of the alerts. Each alert has one in which it fires and one in which it does not.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool, err := testbed.Program("promtool")
	require.NoError(t, err)
	const tests = "testdata/rules_test.yaml"
	out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", tests).CombinedOutput()
	require.NoError(t, err, string(out))

	raw, err := os.ReadFile(tests)
	require.NoError(t, err)
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	require.NoError(t, yaml.Unmarshal(raw, &file))
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, one := range file.Tests {
		for _, of := range one.AlertRuleTest {
			if len(of.ExpAlerts) > 0 {
				fires[of.Alertname] = true
			} else {
				quiet[of.Alertname] = true
			}
		}
	}
	for _, r := range readRules(t) {
		require.True(t, fires[r.Alert], "%s: no test in which it fires", r.Alert)
		require.True(t, quiet[r.Alert], "%s: no test in which it does not", r.Alert)
	}
}

// TestRulesTellWhatToDo: each alert says what is wrong and leads to a section that says what to do; and no section is
// left of one that is gone.
func TestRulesTellWhatToDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(root + "/docs/observability.md")
	require.NoError(t, err)
	var documented []string
	for _, match := range regexp.MustCompile(`(?m)^### (Stormfold\w+)\n\n\S`).FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, match[1])
	}
	var alerts []string
	for _, r := range readRules(t) {
		alerts = append(alerts, r.Alert)
		require.Contains(t, []string{"critical", "warning", "info"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.True(t, strings.HasSuffix(r.Annotations["description"], "."), r.Alert)
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "/docs/observability.md#")
		require.Equal(t, strings.ToLower(r.Alert), anchor)
	}
	slices.Sort(alerts)
	slices.Sort(documented)
	require.Equal(t, alerts, documented, "docs/observability.md has a section on each alert")
}
