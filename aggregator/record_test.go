package aggregator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/internal/subject"
)

// What a record says of an alert is what a lone incident says of it from its facts.
func TestRecordsAndFactsAgree(t *testing.T) {
	breakdown := []string{"namespace", "node", "severity", "workload", "zone"}
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.MapOf(
			rapid.SampledFrom([]string{"alertname", "namespace", "pod", "node", "severity", "zone", "deployment", "instance", "job_name"}),
			rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"web-7d9c6b8f4d-x2k8v", "db-0", strings.Repeat("ü", 300)})),
		).Draw(t, "labels")
		alert := Alert{Fingerprint: "0123456789abcdef", Labels: labels, StartsAt: time.Unix(1777604400, 0).UTC()}
		rest := recordRest(alert, breakdown)
		record := strings.Join([]string{"f-", "1777604400000", "3", "", "0", "", rest}, sep)
		fromRecord, ok, err := memberOf(alert.Fingerprint, record, 3, 3)
		require.NoError(t, err)
		require.True(t, ok)
		fromFacts := facts(alert).member(alert.Fingerprint, true, breakdown)
		require.Equal(t, fromFacts.Resource, fromRecord.Resource)
		require.Equal(t, fromFacts.Severity, fromRecord.Severity)
		require.Equal(t, fromFacts.StartsAt, fromRecord.StartsAt)
	})
}

// What is written by hand is what encoding/json would write, but for the order of members.
func TestFactsAreWrittenAsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"plain", `"quoted\"`, "<b>&", "\x00\x1f\x7f", "\xff\xfe", strings.Repeat("ü", 3000)}))
		alert := Alert{
			Labels:       rapid.MapOf(text, text).Draw(t, "labels"),
			Annotations:  rapid.MapOf(rapid.SampledFrom(annotations), text).Draw(t, "annotations"),
			GeneratorURL: text.Draw(t, "url"), StartsAt: time.Unix(rapid.Int64Range(0, 1e10).Draw(t, "startsAt"), 0),
		}
		want, err := json.Marshal(facts(alert))
		require.NoError(t, err)
		require.JSONEq(t, string(want), factsOf(alert))
	})
}

func TestTheWorkloadThatALabelNamesIsKept(t *testing.T) {
	alert := Alert{Labels: map[string]string{"pod": "web-7d9c6b8f4d-x2k8v", "deployment": "shop", "node": "n1"}}
	rest := recordRest(alert, []string{"workload", "node"})
	m, ok, err := memberOf("0123456789abcdef", strings.Join([]string{"rm", "1", "1", "", "1", "", rest}, sep), 1, 1)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "Deployment/shop", m.Workload())
	require.Equal(t, subject.Resource{Kind: "Pod", Name: "web-7d9c6b8f4d-x2k8v"}, m.Resource)
	delete(alert.Labels, "deployment")
	m, _, err = memberOf("0123456789abcdef", strings.Join([]string{"rm", "1", "1", "", "1", "", recordRest(alert, []string{"workload"})}, sep), 1, 1)
	require.NoError(t, err)
	require.Equal(t, "Deployment/web", m.Workload())
	require.Empty(t, m.Breakdown, "what the name tells is not stored twice")
}

func TestABrokenRecordIsAnError(t *testing.T) {
	for _, record := range []string{"", "f", "f-\x1f1\x1fx\x1f\x1f1\x1f\x1f", "f-\x1f1\x1f1\x1f\x1fx\x1f\x1f", "f-\x1fx\x1f1\x1f\x1f1\x1f\x1f", "f-\x1f1"} {
		_, _, err := memberOf("0123456789abcdef", record, 1, 1)
		require.ErrorIs(t, err, ErrReply, "%q", record)
	}
}
