package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuiltInOutages(t *testing.T) {
	names := make([]string, 0, 6)
	for i, o := range Default().Outages {
		assert.Equal(t, i, o.Rank)
		names = append(names, o.Name)
	}
	assert.Equal(t, []string{"node", "zone", "many-namespaces", "control-plane", "many-nodes", "wide"}, names)
	assert.Equal(t, []string{
		"cluster", "control_plane", "namespace", "node", "outage", "policy", "severity", "subject_kind", "type",
		"zone",
	}, Default().OutageLabels())
}

func TestOutagesOfAFile(t *testing.T) {
	parse := func(outages string) Policies {
		policies, err := ParsePolicies([]byte("policies: [{name: default}]\n" + outages))
		require.NoError(t, err)
		return policies
	}
	assert.Equal(t, Default().Outages, parse("").Outages, "a file without the field has the built-in ones")
	assert.Empty(t, parse("outages: []").Outages)
	assert.Empty(t, parse("outages: []").OutageLabels())

	all := parse(
		"outages: [{name: a}, {name: b, groupBy: [rack], distinct: team, match: ['x=\"1\"', 'y=\"2\"'], cause: ['z=\"3\"']}]",
	)
	assert.Equal(t, Outage{
		Name: "a", GroupBy: []string{"cluster"}, Threshold: 2, Window: 30 * time.Minute, Cooldown: 20 * time.Minute,
		Retention: 7 * 24 * time.Hour, Flush: Flush{time.Second, 15 * time.Second}, MaxIncidents: 1000, MaxListed: 20,
	}, all.Outages[0])
	assert.Equal(t, 1, all.Outages[1].Rank)
	assert.Equal(t, []string{"cluster", "rack", "team", "x", "y"}, all.OutageLabels())

	b := all.Outages[1]
	assert.True(t, b.Matches(map[string]string{"rack": "r1", "x": "1", "y": "2"}))
	assert.False(t, b.Matches(map[string]string{"x": "1", "y": "2"}), "the label of groupBy is missing")
	assert.False(t, b.Matches(map[string]string{"rack": "r1", "x": "1"}))
	assert.True(t, b.Causes(func(name string) string { return map[string]string{"z": "3"}[name] }))
	assert.False(t, all.Outages[0].Causes(func(string) string { return "" }), "without cause nothing is one")
}

func TestWrongOutages(t *testing.T) {
	for outages, want := range map[string]string{
		"7":                              "line 2: outages: 7 is not a list of up to 20 outage policies",
		"null":                           "line 2: outages: null is not a list of up to 20 outage policies",
		"[7]":                            "line 2: outages[0]: 7 is not an outage policy",
		"[{}]":                           "line 2: outages[0].name: is missing, give every outage policy a name",
		"[{name: A}]":                    `outages[0].name: "A" is not a name`,
		"[{name: a}, {name: a}]":         `outages[1].name: "a" is the name of outages[0] already`,
		"[{name: a, quiet: 1h}]":         `outage policy a: "quiet" is not a field of an outage policy`,
		"[{name: a, threshold: 1}]":      "outage policy a: threshold: 1 is not a whole number between 2 and 1000",
		"[{name: a, window: 2h}]":        `outage policy a: window: "2h" is not a duration between 1s and 1h`,
		"[{name: a, distinct: 'x='}]":    `outage policy a: distinct: "x=" is not the name of a label`,
		"[{name: a, cause: []}]":         "outage policy a: cause: [] is not a list of matchers",
		"[{name: a, match: ['x']}]":      `outage policy a: match[0]: "x" is not a matcher`,
		"[{name: a, distinct: cluster}]": `outage policy a: distinct: "cluster" is in groupBy`,
		"[{name: a, cooldown: 1h, retention: 1m}]":             "outage policy a: retention: 1m is shorter than cooldown, which is 1h",
		"[{name: a, flush: {min: 20s}}]":                       "outage policy a: flush.max: 15s is shorter than flush.min, which is 20s",
		"[{name: a, threshold: 9, maxIncidents: 8}]":           "outage policy a: maxIncidents: 8 is less than threshold, which is 9",
		"[" + strings.Repeat("{name: a}, ", 20) + "{name: b}]": "is not a list of up to 20 outage policies",
	} {
		_, err := ParsePolicies([]byte("policies: [{name: default}]\noutages: " + outages))
		assert.ErrorContains(t, err, want, outages)
	}
}
