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
		"node-down.onRedisFailure=retry ": func(p Policies) { require.Equal(t, "retry", p.List[0].OnRedisFailure) },
	} {
		changed, err := policies.With(change)
		require.NoError(t, err, change)
		check(changed)
		require.Equal(t, 5, policies.List[1].Threshold, "the policies themselves stay")
	}
	for change, want := range map[string]string{
		"threshold=10":               `"threshold=10" is not a change of a policy, for instance default.threshold=10`,
		"default.threshold":          `"default.threshold" is not a change of a policy, for instance default.threshold=10`,
		"defalt.threshold=10":        `"defalt.threshold=10": there is no policy "defalt", did you mean default?`,
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
