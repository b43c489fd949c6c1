package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWith(t *testing.T) {
	policies, err := ParsePolicies([]byte("policies: [{name: node-down, match: ['node!=\"\"']}, {name: default}]"))
	require.NoError(t, err)
	for change, check := range map[string]func(p Policies){
		"default.threshold=10":            func(p Policies) { require.Equal(t, 10, p.List[1].Threshold) },
		"node-down.flush.min=2s":          func(p Policies) { require.Equal(t, 2*time.Second, p.List[0].Flush.Min) },
		"node-down.groupBy=[cluster, a]":  func(p Policies) { require.Equal(t, []string{"cluster", "a"}, p.List[0].GroupBy) },
		"node.threshold=3":                func(p Policies) { require.Equal(t, 3, p.Outages[0].Threshold) },
		"wide.cause=['outage=\"zone\"']":  func(p Policies) { require.Len(t, p.Outages[5].Cause, 1) },
		"many-namespaces.hold=2m":         func(p Policies) { require.Equal(t, 2*time.Minute, p.Outages[2].Hold) },
		"node-down.onRedisFailure=retry ": func(p Policies) { require.Equal(t, "retry", p.List[0].OnRedisFailure) },
	} {
		changed, err := policies.With(change)
		require.NoError(t, err, change)
		check(changed)
		require.Equal(t, 5, policies.List[1].Threshold, "the policies themselves stay")
		require.Equal(t, Default().Outages, policies.Outages)
	}
	for change, want := range map[string]string{
		"threshold=10":               `"threshold=10" is not a change of a policy, for instance default.threshold=10`,
		"default.threshold":          `"default.threshold" is not a change of a policy, for instance default.threshold=10`,
		"defalt.threshold=10":        `"defalt.threshold=10": there is no policy "defalt", did you mean default?`,
		"zones.threshold=10":         `"zones.threshold=10": there is no policy "zones", did you mean zone?`,
		"x-y-z.threshold=10":         `there is no policy "x-y-z", only node-down, default, node, zone, many-namespaces, `,
		"node.quiet=1h":              `"quiet" is not a field that can be changed, which are groupBy, threshold, distinct, `,
		"node.threshold=1":           `node.threshold: 1 is not a whole number between 2 and 1000`,
		"zone.distinct=zone":         `zone.distinct: "zone" is in groupBy`,
		"node.flush.max=500ms":       `node.flush.max: 500ms is shorter than flush.min, which is 1s`,
		"default.treshold=10":        `"default.treshold=10": "treshold" is not a field that can be changed, did you mean threshold?`,
		"default.name=other":         `"name" is not a field that can be changed`,
		"default.threshold=0":        `default.threshold: 0 is not a whole number between 1 and 1000`,
		"default.quiet=1s":           `default.window: 15m is longer than quiet, which is 1s`,
		"default.groupBy=[a":         `is not a value in YAML`,
		"default.maxAlerts=\"many\"": `default.maxAlerts: "many" is not`,
	} {
		_, err := policies.With(change)
		require.ErrorContains(t, err, want, change)
	}
}

func TestFailingNamesTheFirstMatcherThatDoesNotHold(t *testing.T) {
	policies, err := ParsePolicies([]byte(`policies: [{name: a, match: ['a="1"', 'b=~"x|y"']}, {name: default}]`))
	require.NoError(t, err)
	require.Equal(t, `b=~"x|y"`, policies.List[0].Failing(read(map[string]string{"a": "1", "b": "z"})).String())
	require.Equal(t, `a="1"`, policies.List[0].Failing(read(nil)).String())
	require.Nil(t, policies.List[0].Failing(read(map[string]string{"a": "1", "b": "y"})))
	require.Nil(t, policies.List[1].Failing(read(nil)))
}

// A policy comes before an outage policy of the same name.
func TestWithOfTwoPoliciesOfOneName(t *testing.T) {
	policies, err := ParsePolicies([]byte("policies: [{name: default}]\noutages: [{name: default}]"))
	require.NoError(t, err)
	changed, err := policies.With("default.threshold=7")
	require.NoError(t, err)
	require.Equal(t, []int{7, 2}, []int{changed.List[0].Threshold, changed.Outages[0].Threshold})
}
