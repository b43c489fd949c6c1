package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	const ours = recordings + "policies.yaml"
	got := call(t, "", "check", ours, "../../config/policies.yaml")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, ours+": valid, 3 policies, 6 outage policies and 0 rules about subjects\n"+
		"../../config/policies.yaml: valid, 5 policies, 6 outage policies and 0 rules about subjects\n", got.out)

	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte(`subjects:
- match: ['job="ceph"']
  kind: ceph
  name: cluster
policies:
- name: web
  match: [severity]
- name: rest
  threshold: 0
outages:
- name: rack
  window: 2d
`), 0o600))
	got = call(t, "", "check", broken, ours)
	require.Equal(t, exitError, got.code)
	require.Empty(t, got.err, "it is told once")
	require.Equal(t, broken+`:3: subjects[0].kind: "ceph" is not a kind, for instance CephCluster
`+broken+`:7: policy web: match[0]: "severity" is not a matcher of up to 1024 bytes, for instance severity=~"critical|page"
`+broken+`:9: policy rest: threshold: 0 is not a whole number between 1 and 1000, for instance 5
`+broken+`:12: outage policy rack: window: "2d" is not a duration between 1s and 1h, for instance 30m
`+ours+": valid, 3 policies, 6 outage policies and 0 rules about subjects\n", got.out)
}

func TestCheckForScripts(t *testing.T) {
	got := call(t, "policies:\n- name: 'web\n", "check", "-", "-o", "json")
	require.Equal(t, exitError, got.code)
	var out checked
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	require.Equal(t, checked{checkVersion, []checkedFile{{
		File: "standard input", Policies: []string{}, Outages: []string{}, Problems: []problemFacts{{2, "invalid YAML: unterminated quote"}},
	}}}, out)

	got = call(t, "policies: [{name: a}]\n---\npolicies: [{name: b}]\n", "check", "-")
	require.Equal(t, "standard input: the file holds several YAML documents, only one is read\n", got.out)
	got = call(t, "policies: [{name: a}]\noutages: [{name: rack}]", "check", "-")
	require.Equal(t, "standard input: valid, 1 policy, 1 outage policy and 0 rules about subjects\n", got.out)
	got = call(t, "policies: [{name: a}]\noutages: [{name: rack}]", "check", "-", "-o", "yaml")
	require.Contains(t, got.out, "  outages:\n  - rack\n")
	got = call(t, "policies: [{name: a}]", "check", "-", "-o", "yaml")
	require.Equal(t, exitOK, got.code)
	require.Contains(t, got.out, "  policies:\n  - a\n")
}
