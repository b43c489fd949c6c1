package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"knative.dev/pkg/apis"

	"github.com/stormfold/stormfold/internal/subject"
)

func TestDefaultPolicies(t *testing.T) {
	names := []string{}
	for _, p := range Default().List {
		names = append(names, p.Name)
	}
	assert.Equal(t, []string{"heartbeats", "nodes", "workloads", "events", "default"}, names)
	last := Default().List[4]
	assert.Len(t, last.Route, 8)
	last.Route = ""
	assert.Equal(t, Policy{
		Name: "default", GroupBy: []string{"cluster", "namespace", "alertname"}, Threshold: 5, Window: 15 * time.Minute,
		Quiet: 13 * time.Hour, MaxDuration: 168 * time.Hour, Cooldown: 20 * time.Minute, Retention: 168 * time.Hour,
		Flush:     Flush{Min: time.Second, Max: 15 * time.Second},
		MaxAlerts: 10000, MaxListed: 500, MaxGroups: 1000, Breakdown: []string{"namespace", "node", "severity", "workload"},
		OnRedisFailure: OnRedisFailureRetry,
	}, last)
	named := defaults()
	named.Name = "default"
	assert.Equal(t, named, last, "the last policy shows the default of every field")

	changed := Default()
	changed.List[4].GroupBy[0] = "changed"
	assert.Equal(t, "cluster", Default().List[4].GroupBy[0])
}

func TestWhichDefaultPolicyTakesAnAlert(t *testing.T) {
	for _, c := range []struct {
		policy string
		labels map[string]string
	}{
		{"heartbeats", map[string]string{"alertname": "Watchdog"}},
		{"heartbeats", map[string]string{"alertname": "InfoInhibitor", "namespace": "shop"}},
		{"nodes", map[string]string{"alertname": "KubeNodeNotReady", "node": "n1", "namespace": "monitoring", "job": "kube-state-metrics"}},
		{"nodes", map[string]string{"alertname": "NodeClockSkewDetected", "instance": "10.0.0.1:9100", "pod": "node-exporter-x2k8v", "job": "node-exporter"}},
		{"workloads", map[string]string{"alertname": "CPUThrottlingHigh", "namespace": "shop", "pod": "cart-7d9f8b6c5d-4k7sm", "node": "n1", "job": "kubelet"}},
		{"workloads", map[string]string{"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "cart"}},
		{"events", map[string]string{"alertname": "BackOff", "event_type": "Warning", "namespace": "shop", "pod": "cart-7d9f8b6c5d-4k7sm", "node": "n1"}},
		{"events", map[string]string{"alertname": "NodeHasDiskPressure", "event_type": "Warning", "node": "n1"}},
		{"default", map[string]string{"alertname": "KubePersistentVolumeFillingUp", "persistentvolumeclaim": "data", "namespace": "shop", "node": "n1", "job": "kubelet"}},
		{"default", map[string]string{"alertname": "KubeSchedulerDown"}},
		{"default", nil},
	} {
		assert.Equal(t, c.policy, Default().Match(read(c.labels)).Name, "%v", c.labels)
	}
}

func TestShippedFileIsTheDefault(t *testing.T) {
	policies, err := LoadPolicies("policies.yaml")
	require.NoError(t, err)
	assert.Equal(t, Default(), policies)

	content, err := os.ReadFile("policies.yaml")
	require.NoError(t, err)
	for _, field := range PolicyFields() {
		if field.Default != "" {
			_, key, nested := strings.Cut(field.Key, ".")
			if !nested {
				key = field.Key
			}
			assert.Contains(t, string(content), " "+key+": "+field.Default+"\n", "the file shows every default")
		}
	}
}

func TestMatch(t *testing.T) {
	policies, err := ParsePolicies([]byte(`
policies:
  - {name: node, match: ['node!=""', 'alertname=~"Kube.*|NodeDown"']}
  - {name: two, match: ['{severity="critical", team!~"dev.*"}']}
  - {name: rest}
`))
	require.NoError(t, err)
	tests := []struct {
		labels map[string]string
		want   string
	}{
		{map[string]string{"alertname": "NodeDown", "node": "n1", "severity": "critical"}, "node"},
		{map[string]string{"alertname": "XNodeDown", "node": "n1", "severity": "critical"}, "two"},
		{map[string]string{"alertname": "NodeDown"}, "rest"},
		{map[string]string{"severity": "critical"}, "two"},
		{map[string]string{"severity": "critical", "team": "dev-a"}, "rest"},
		{nil, "rest"},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, policies.Match(read(test.labels)).Name, "%v", test.labels)
	}
	assert.Same(t, &policies.List[2], policies.Match(read(nil)))
	assert.Equal(t, "default", Policies{}.Match(read(nil)).Name)

	assert.Same(t, &policies.List[1], policies.Named("two"))
	assert.Same(t, &policies.List[2], policies.Named("gone"))
	assert.Equal(t, "default", Policies{}.Named("gone").Name)
}

func TestParsePoliciesEveryBound(t *testing.T) {
	label128, label129 := strings.Repeat("a", 128), strings.Repeat("a", 129)
	list := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("l%d", i)
		}
		return "[" + strings.Join(names, ", ") + "]"
	}
	matchers := func(n int) string { return "['a=b" + strings.Repeat(",a=b", n-1) + "']" }
	tests := map[string]struct{ good, bad []string }{
		"name":           {[]string{"a", strings.Repeat("a", 63)}, []string{"", "null", "A", "a.b", "1.5", "on", strings.Repeat("a", 64), "[a]"}},
		"match":          {[]string{`['a="b"']`, matchers(16), "['" + strings.Repeat("a", 1020) + "=b']"}, []string{"", "[]", "a=b", "['']", "['{}']", "[a]", "[null]", "['a=~\"(\"']", matchers(17), "['" + strings.Repeat("a", 1023) + "=b']"}},
		"groupBy":        {[]string{"[]", "[" + label128 + "]", "[k8s.pod.name, 'foo🙂', 1a]", list(16)}, []string{"", "a", "[a, a]", "['a=b']", "[\"a\\u0000\"]", "['']", "[null]", "[" + label129 + "]", list(17)}},
		"drop":           {[]string{"true", "false"}, []string{"", "null", "yes please", "1", "[true]"}},
		"threshold":      {[]string{"1", "1000"}, []string{"0", "1001", "-1", `"5"`, "1.5", "", "[5]"}},
		"window":         {[]string{"1s", "1h", "60m"}, []string{"999ms", "3601s", "0", "60", "1.5m", "-1m", "", "{}"}},
		"quiet":          {[]string{"15m", "30d"}, []string{"999ms", "31d", ""}},
		"maxDuration":    {[]string{"1s", "30d"}, []string{"999ms", "31d", ""}},
		"cooldown":       {[]string{"0", "0s", "24h"}, []string{"24h1ms", "x"}},
		"retention":      {[]string{"20m", "365d", "1y"}, []string{"19m59s", "366d", "x"}},
		"hold":           {[]string{"0", "10m"}, []string{"10m1ms", "x"}},
		"flush.min":      {[]string{"100ms", "15s"}, []string{"99ms", "1m1ms", "0"}},
		"flush.max":      {[]string{"1s", "10m"}, []string{"999ms", "10m1ms", "0"}},
		"maxAlerts":      {[]string{"5", "10000"}, []string{"4", "0", "10001"}},
		"maxListed":      {[]string{"1", "500"}, []string{"0", "501"}},
		"maxGroups":      {[]string{"1", "100000"}, []string{"0", "100001"}},
		"onRedisFailure": {[]string{"retry", "passthrough"}, []string{"", "Retry", "null", "true", "[retry]"}},
		"breakdown":      {[]string{"[]", list(8)}, []string{"", "[a, a]", list(9)}},
	}
	for _, field := range PolicyFields() {
		test, ok := tests[field.Key]
		if !assert.True(t, ok, "no test for %s", field.Key) {
			continue
		}
		file := func(value string) []byte {
			given := map[string]string{"name": "a-name", "match": "['a=b']"}
			outer, inner, nested := strings.Cut(field.Key, ".")
			if nested {
				value = "{" + inner + ": " + value + "}"
			}
			given[outer] = value
			text := "policies:\n  -"
			for key, value := range given {
				text += " " + key + ": " + value + "\n   "
			}
			return []byte(text + "\n  - name: last\n")
		}
		for _, value := range test.good {
			_, err := ParsePolicies(file(value))
			assert.NoError(t, err, "%s: %s", field.Key, value)
		}
		for _, value := range test.bad {
			_, err := ParsePolicies(file(value))
			if assert.Error(t, err, "%s: %s", field.Key, value) {
				assert.Regexp(t, `^line [234]: (policies\[0\]\.|policy a-name: )`+regexp.QuoteMeta(field.Key), err.Error())
				assert.NotContains(t, err.Error(), "\n")
				var fields *apis.FieldError
				assert.ErrorAs(t, err, &fields)
			}
		}
	}
	assert.Len(t, tests, len(PolicyFields()))
}

func TestParsePoliciesErrors(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"empty", "", `policies: null is not a list of 1 to 100 policies, the last of which has no match`},
		{"no policy", "policies: []", `line 1: policies: [] is not a list of 1 to 100 policies, the last of which has no match`},
		{"a list", "[]", `the file is [], not a map with the field policies`},
		{"no map", "policies: [default]", `line 1: policies[0]: "default" is not a policy, a map with at least the field name`},
		{"unknown at the top", "policy: []\npolicies: [{name: a}]", `line 1: "policy" is not a field of the file, which has policies, outages, subjects, severities`},
		{"unknown and near", "policies: [{name: a, groupby: []}]", `line 1: policy a: "groupby" is not a field of a policy, did you mean groupBy?`},
		{"unknown inside", "policies: [{name: a, flush: {mim: 1s}}]", `line 1: policy a: "flush.mim" is not a field of a policy, did you mean flush.min?`},
		{"no flush", "policies: [{name: a, flush: 1s}]", `line 1: policy a: flush: "1s" is not a map, for instance {min: 1s, max: 15s}`},
		{"twice", "policies: [{name: a, name: b}]", `line 1: the field "name" is repeated`},
		{"no YAML", "policies: [", `line 1: invalid YAML: a value is missing, or a bracket is not closed`},
		{"two documents", "# first\npolicies: [{name: a}]\n---\npolicies: [{name: b}]\n", `the file holds several YAML documents, only one is read`},
		{"no name", "policies: [{}]", `line 1: policies[0].name: is missing, give every policy a name of its own, for instance default`},
		{"same name", "policies: [{name: a, match: ['a=b']}, {name: a}]", `line 1: policies[1].name: "a" is the name of policies[0] already`},
		{"last matches", "policies: [{name: a, match: ['a=b']}]", `line 1: policy a: match: the last policy takes every alert and has no match, add one like that behind it`},
		{"other does not match", "policies: [{name: a}, {name: b}]", `line 1: policy a: match: is missing, only the last policy takes every alert`},
		{"matcher", "policies: [{name: a, match: ['a=b', alertname]}, {name: b}]",
			`line 1: policy a: match[1]: "alertname" is not a matcher of up to 1024 bytes, for instance severity=~"critical|page"`},
		{"duration", "policies: [{name: a, match: ['a=b']}, {name: b, flush: {min: 5}}]",
			`line 1: policy b: flush.min: 5 is not a duration between 100ms and 1m, for instance 1s`},
		{"number", "policies: [{name: a, threshold: many}]", `line 1: policy a: threshold: "many" is not a whole number between 1 and 1000, for instance 5`},
		{"label", "policies: [{name: a, groupBy: [a, 'b=c']}]",
			`line 1: policy a: groupBy[1]: "b=c" is not the name of a label, up to 128 bytes without = and control characters, for instance namespace`},
		{"label twice", "policies: [{name: a, breakdown: [a, a]}]", `line 1: policy a: breakdown[1]: "a" is there already, name each label once`},
		{"window and quiet", "policies: [{name: a, quiet: 1m}]", `line 1: policy a: window: 15m is longer than quiet, which is 1m`},
		{"retention", "policies: [{name: a, cooldown: 30m, retention: 10m}]", `line 1: policy a: retention: 10m is shorter than cooldown, which is 30m`},
		{"flush", "policies: [{name: a, flush: {min: 20s}}]", `line 1: policy a: flush.max: 15s is shorter than flush.min, which is 20s`},
		{"maxAlerts", "policies: [{name: a, maxAlerts: 4}]", `line 1: policy a: maxAlerts: 4 is less than threshold, which is 5`},
		{"two errors", "policies: [{name: a, window: x, quiet: z}]", `line 1: policy a: quiet: "z" is not a duration between 1s and 30d, for instance 13h; ` +
			`line 1: policy a: window: "x" is not a duration between 1s and 1h, for instance 15m`},
		{"too large", strings.Repeat("#", maxPoliciesFile+1), `the file is larger than 1048576 bytes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParsePolicies([]byte(test.yaml))
			require.EqualError(t, err, test.want)
		})
	}
}

// The line is that of the field, of the item of a list, or of the policy where the field is missing; a name tells the policy.
func TestParsePoliciesLines(t *testing.T) {
	const file = `# Ours.
subjects:
- match: ['job="ceph"']
  kind: ceph
  name: cluster
policies:
- name: web
  match:
  - severity=critical
  - severity
  flush:
    min: 1s
    mim: 2s
- match: ['a=b']
  threshold: 0
- name: rest
  windov: 1m
  window: 2d
`
	_, err := ParsePolicies([]byte(file))
	assert.Equal(t, []Problem{
		{4, `subjects[0].kind: "ceph" is not a kind, for instance CephCluster`},
		{10, `policy web: match[1]: "severity" is not a matcher of up to 1024 bytes, for instance severity=~"critical|page"`},
		{13, `policy web: "flush.mim" is not a field of a policy, did you mean flush.min?`},
		{14, `policies[1].name: is missing, give every policy a name of its own, for instance default`},
		{15, `policies[1].threshold: 0 is not a whole number between 1 and 1000, for instance 5`},
		{17, `policy rest: "windov" is not a field of a policy, did you mean window?`},
		{18, `policy rest: window: "2d" is not a duration between 1s and 1h, for instance 15m`},
	}, Problems(err))
	assert.ErrorContains(t, err, `line 15: policies[1].threshold: 0 is not a whole number between 1 and 1000, for instance 5; and 2 more`)
	assert.Empty(t, Problems(os.ErrNotExist))
}

func TestParsePoliciesThatAreNotYAML(t *testing.T) {
	for file, want := range map[string]string{
		"policies:\n- name: a\n  match: ['a=\"b\"\n  threshold: 5\n": `line 3: invalid YAML: unterminated quote`,
		"policies:\n- name: \"a":                                     `line 2: invalid YAML: unterminated quote`,
		"a: \"x":                                                     `line 1: invalid YAML: unterminated quote`,
		"policies:\n- name: a\n  groupBy: [a, b\n- name: b\n":        `line 3: invalid YAML: unterminated list, a ] or a comma is missing`,
		"policies:\n- name: a\n  flush: {min: 1s\n":                  `line 3: invalid YAML: unterminated map, a } or a comma is missing`,
		"policies:\n- name: a\n\tthreshold: 5\n":                     `line 3: invalid YAML: a tab as indentation, use spaces`,
		"policies:\n- name: a\n   threshold: 5\n":                    `line 3: invalid YAML: a colon in an unquoted value, or wrong indentation`,
		"policies:\n- name: a\n threshold: 5\n":                      `line 3: invalid YAML: something else than a field: check indentation and quotes`,
		"policies:\n- name: 'it's'\n":                                `line 2: invalid YAML: something else than a field: check indentation and quotes`,
		"policies:\n- name: @x\n":                                    `line 2: invalid YAML: a value begins with a special character, quote it`,
		"policies:\n- name: a\n  threshold 5\n  window: 1s\n":        `line 3: invalid YAML: a field without a colon`,
		"policies:\n- name: a\n  match: [\"b\\d\"]\n":                `line 3: invalid YAML: a backslash in double quotes, use single quotes or \\`,
		"policies:\n- name: *x\n":                                    `invalid YAML: unknown anchor 'x' referenced`,
		"policies:\n- name: a\n  hold: 1s\n  hold: 2s\n":             `line 4: the field "hold" is repeated`,
	} {
		_, err := ParsePolicies([]byte(file))
		assert.EqualError(t, err, want, file)
	}
}

func TestParsePoliciesNumberOfPolicies(t *testing.T) {
	file := func(n int) []byte {
		text := "policies:\n"
		for i := range n - 1 {
			text += fmt.Sprintf("- {name: p%d, match: ['a=b']}\n", i)
		}
		return []byte(text + "- {name: last}\n")
	}
	policies, err := ParsePolicies(file(100))
	require.NoError(t, err)
	assert.Len(t, policies.List, 100)
	_, err = ParsePolicies(file(101))
	assert.ErrorContains(t, err, "is not a list of 1 to 100 policies")
}

func TestParsePoliciesAcceptsOneDocumentWithMarkers(t *testing.T) {
	_, err := ParsePolicies([]byte("# a comment\n---\npolicies: [{name: a}]\n---\n# nothing\n...\n"))
	assert.NoError(t, err)
}

func TestLoadPoliciesErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	_, err := LoadPolicies(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, path)

	require.NoError(t, os.WriteFile(path, []byte("policies: [{}]"), 0o600))
	_, err = LoadPolicies(path)
	require.EqualError(t, err, "policies file "+path+": line 1: policies[0].name: is missing, give every policy a name of its own, for instance default")

	require.NoError(t, os.WriteFile(path, make([]byte, 2<<20), 0o600))
	_, err = LoadPolicies(path)
	require.ErrorContains(t, err, "the file is larger than 1048576 bytes")
}

// read is what the built-in rules read of labels.
func read(labels map[string]string) *subject.Reading {
	r := subject.Rules(nil).Read(labels)
	return &r
}
