package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/subject"
)

func TestSubjects(t *testing.T) {
	policies, err := ParsePolicies([]byte(`
subjects:
  - {match: ['job="ceph"'], kind: CephPool, name: pool, namespace: rook_namespace, target: [pod, instance]}
  - {match: ['{"service.name"=~"agent.*"}'], target: [pod]}
policies:
  - {name: pools, match: ['subject_kind="CephPool"', 'namespace="storage"'], groupBy: [subject_name]}
  - {name: dotted, match: ['k8s.pod.name=~"cart-.*"'], groupBy: [k8s.namespace.name], breakdown: [service.name]}
  - {name: default}
`))
	require.NoError(t, err)
	read := func(labels map[string]string) *subject.Reading {
		r := policies.Subjects.Read(labels)
		return &r
	}
	pool := read(
		map[string]string{"job": "ceph", "pool": "p1", "rook_namespace": "storage", "namespace": "rook", "pod": "mgr-a"},
	)
	assert.Equal(t, subject.Resource{Kind: "CephPool", Namespace: "storage", Name: "p1"}, pool.Subject)
	assert.Equal(t, []string{"pod"}, pool.Target)
	assert.Equal(t, "pools", policies.Match(pool).Name)
	dotted := read(map[string]string{"k8s.pod.name": "cart-7d9f8b6c5d-4k7sm", "k8s.namespace.name": "shop"})
	assert.Equal(t, "dotted", policies.Match(dotted).Name)
	agent := read(map[string]string{"service.name": "agent-1", "pod": "x", "deployment": "cart", "namespace": "shop"})
	assert.Equal(t, subject.Resource{Kind: "Deployment", Namespace: "shop", Name: "cart"}, agent.Subject)
	assert.Equal(t, "default", policies.Match(agent).Name)
}

func TestSubjectErrors(t *testing.T) {
	for rules, want := range map[string]string{
		"{}":                                     `subjects: {} is not a list of up to 50 rules, for instance [{match: ['job="ceph"'], kind: CephCluster, name: cluster}]`,
		"[a]":                                    `subjects[0]: "a" is not a rule, a map with match, and with kind and name or target`,
		"[{kind: A, name: b}]":                   `subjects[0].match: is missing, say for which alerts the rule is, for instance ['job="ceph"']`,
		"[{match: ['a=b']}]":                     `subjects[0].kind: is missing; a rule needs kind and name for what its alerts are about, or target for the labels about the scrape target`,
		"[{match: a, kind: A}]":                  `subjects[0].match: "a" is not a list of matchers, for instance ["severity=~\"critical|page\""]`,
		"[{match: ['a=b'], kind: pod, name: b}]": `subjects[0].kind: "pod" is not a kind, for instance CephCluster`,
		"[{match: ['a=b'], kind: Pod}]":          `subjects[0].name: is missing, say which label holds the name of the Pod`,
		"[{match: ['a=b'], name: b}]":            `subjects[0].kind: is missing, say what kind of object the label b names, for instance CephCluster`,
		"[{match: ['a=b'], target: [c], namespace: d}]":                   `subjects[0].namespace: goes with kind and name only`,
		"[{match: ['a=b'], kind: Pod, name: b, target: [c, b]}]":          `subjects[0].target: b names the subject, it cannot be about the target`,
		"[{match: ['a=b'], kind: P, name: b, namespace: c, target: c}]":   `subjects[0].target: "c" is not a list of up to 16 label names, for instance [pod, instance]`,
		"[{match: ['a=b'], kind: P, name: b, namespace: c, target: [c]}]": `subjects[0].target: c is the subject's namespace, it cannot be about the target`,
		"[{match: ['a=b'], kind: P, name: 'a=b'}]": `subjects[0].name: "a=b" is not the name of a label, up to 128 bytes without = and control characters, ` +
			`for instance namespace`,
		"[{match: ['a=b'], kind: Pod, nam: b}]": `subjects[0]: "nam" is not a field of a rule, did you mean name?`,
		"[" + strings.Repeat("{}, ", 51) + "]":  `is not a list of up to 50 rules`,
	} {
		_, err := ParsePolicies([]byte("subjects: " + rules + "\npolicies: [{name: a}]"))
		assert.ErrorContains(t, err, want, rules)
	}
}

func TestSeverities(t *testing.T) {
	order := []string{"what", "none", "info", "warning", "error", "critical"}
	for i, word := range order {
		assert.Equal(t, i, Severities(nil).Rank(word), word)
		assert.Equal(t, i, Severities(nil).Rank(strings.ToUpper(word)), word)
	}
	assert.Zero(t, Severities(nil).Rank(""))
	for _, word := range []string{"page", "P1", "high", "P2", "major", "emergency"} {
		assert.Greater(t, Severities(nil).Rank(word), Severities(nil).Rank("warning"), word)
	}
	for _, word := range []string{"low", "P4", "P5", "info"} {
		assert.Less(t, Severities(nil).Rank(word), Severities(nil).Rank("warning"), word)
	}

	policies, err := ParsePolicies(
		[]byte("severities: [blocker, [red, orange], green]\npolicies: [{name: a, match: ['a=b']}, {name: b}]"),
	)
	require.NoError(t, err)
	for _, p := range policies.List {
		assert.Equal(t, []int{3, 2, 2, 1, 0}, []int{
			p.Severities.Rank(
				"blocker",
			), p.Severities.Rank("Red"), p.Severities.Rank("orange"), p.Severities.Rank("green"), p.Severities.Rank("critical"),
		})
	}
	for severities, want := range map[string]string{
		"[]":             `severities: [] is not a list of words, the worst first, for instance [[critical, page], warning, info]`,
		"critical":       `severities: "critical" is not a list of words, the worst first, for instance [[critical, page], warning, info]`,
		"[a, {}]":        `severities[1]: {} is neither a word nor a list of words, for instance [[critical, page], warning, info]`,
		"[a, [b, A]]":    `severities[1]: "A" is not a word of 1 to 63 bytes that is there once`,
		"[a, []]":        `severities[1]: [] is neither a word nor a list of words, for instance [[critical, page], warning, info]`,
		"[a, null]":      `severities[1]: null is neither a word nor a list of words, for instance [[critical, page], warning, info]`,
		"[a, [null, b]]": `severities[1]: "" is not a word of 1 to 63 bytes that is there once`,
	} {
		_, err := ParsePolicies([]byte("severities: " + severities + "\npolicies: [{name: a}]"))
		assert.EqualError(t, err, "line 1: "+want, severities)
	}
}
