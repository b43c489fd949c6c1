package config

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FuzzParsePolicies holds that no file makes the parser panic, that errors are one line, and that what is accepted
// keeps the bounds on which the fold relies. They are written out here, apart from the table.
func FuzzParsePolicies(f *testing.F) {
	shipped, err := os.ReadFile("policies.yaml")
	require.NoError(f, err)
	f.Add(shipped)
	for _, seed := range []string{
		"", "policies: []", "policies: [{name: a, match: ['a=~\"b|c\"', 'd!=\"\"']}, {name: b, hold: 0, flush: {min: 100ms}}]",
		"policies: [{name: &a a, match: *a}]", "policies: [{name: a, groupBy: [], breakdown: [x]}]", "---\n- 1\n---\n",
		"{1: 2, null: 3}",
		"policies: [{<<: {name: a}}]", "policies: [{name: !!binary YQ==}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		policies, err := ParsePolicies(content)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, policies)
			return
		}
		require.NotEmpty(t, policies.List)
		names := map[string]bool{}
		for i, p := range policies.List {
			requireValid(t, p)
			require.False(t, names[p.Name])
			names[p.Name] = true
			require.Equal(t, i == len(policies.List)-1, len(p.Matchers) == 0)
		}
		require.NotNil(t, policies.Match(read(map[string]string{"alertname": "X"})))
	})
}

func requireValid(t *testing.T, p Policy) {
	t.Helper()
	day := 24 * time.Hour
	between := func(d, least, most time.Duration) { t.Helper(); require.True(t, least <= d && d <= most, d) }
	require.Empty(t, validation.IsDNS1123Label(p.Name))
	require.LessOrEqual(t, len(p.Matchers), 16)
	for _, names := range [][]string{p.GroupBy, p.Breakdown} {
		for i, name := range names {
			require.True(t, model.UTF8Validation.IsValidLabelName(name) && len(name) <= 128 && !strings.Contains(name, "="))
			require.False(t, slices.Contains(names[:i], name))
		}
	}
	require.LessOrEqual(t, len(p.GroupBy), 16)
	require.LessOrEqual(t, len(p.Breakdown), 8)
	between(p.Window, time.Second, min(time.Hour, p.Quiet))
	between(p.Quiet, time.Second, 30*day)
	between(p.MaxDuration, time.Second, 30*day)
	between(p.Cooldown, 0, day)
	between(p.Retention, 0, 365*day)
	between(p.Hold, 0, 10*time.Minute)
	between(p.Flush.Min, 100*time.Millisecond, time.Minute)
	between(p.Flush.Max, p.Flush.Min, 10*time.Minute)
	require.True(t, 1 <= p.Threshold && p.Threshold <= 1000)
	require.True(t, p.Threshold <= p.MaxAlerts && p.MaxAlerts <= 10000)
	require.True(t, 1 <= p.MaxListed && p.MaxListed <= 500)
	require.True(t, 1 <= p.MaxGroups && p.MaxGroups <= 100000)
}
