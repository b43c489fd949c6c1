package projector

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

var update = flag.Bool("update", false, "write the golden files again")

var start = time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)

// storm is a snapshot of a storm of n alerts, every third of them resolved, two alerts for each pod.
func storm(n int) (*aggregator.Snapshot, aggregator.Object) {
	s := &aggregator.Snapshot{
		Group: "0123456789abcdef", Shard: 1, Policy: "default", Labels: map[string]string{"alertname": "PodDown",
			"namespace": "shop"},
		Now: start, MaxListed: 500, Breakdown: []string{"namespace", "node", "severity", "workload"},
	}
	o := aggregator.Object{
		Name: "pod-down-abcdefghij", Namespace: "stormfold", Storm: true, State: aggregator.StateFiring,
		Revision: 1777604400123,
		OpenedAt: start, StormAt: start.Add(time.Second), ChangedAt: start.Add(2 * time.Second), Total: n,
		CommonLabels: map[string]string{"alertname": "PodDown", "namespace": "shop"},
		Facts: aggregator.Facts{
			Labels:       map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": "web-0"},
			Annotations:  map[string]string{"summary": "web-0 is down", "runbook_url": "https://runbooks.example/PodDown"},
			GeneratorURL: "https://prometheus.example/graph", StartsAt: start.Unix(),
		},
	}
	for i := range n {
		m := aggregator.Member{
			Fingerprint: fmt.Sprintf("%016x", i+1), Firing: i%3 != 2, StartsAt: start.Add(time.Duration(i) * time.Second),
			Severity:  []string{"warning", "critical"}[i%2],
			Resource:  subject.Resource{Kind: "Pod", Namespace: "shop", Name: fmt.Sprintf("web-7d9f8b6c5d-%05d", i/2)},
			Breakdown: []aggregator.Label{{Name: "node", Value: fmt.Sprintf("node-%d", i%2)}},
		}
		m.Resource.Name = strings.NewReplacer("0", "b", "1", "c", "3", "d").Replace(m.Resource.Name)
		if m.Firing {
			o.Firing++
		}
		o.Members = append(o.Members, m)
	}
	return s, o
}

func TestRenderGolden(t *testing.T) {
	s, open := storm(8)
	_, resolved := storm(8)
	resolved.State, resolved.Reason, resolved.EndedAt, resolved.Reopened = aggregator.StateResolved, "AllResolved",
		start.Add(
			time.Hour,
		), 1
	single := open
	single.Storm, single.Total, single.Firing, single.Members = false, 1, 1, open.Members[:1]
	absorbed := single
	absorbed.State, absorbed.AbsorbedBy, absorbed.EndedAt = aggregator.StateAbsorbed, "pod-down-abcdefghij", start.Add(
		time.Minute,
	)
	for name, o := range map[string]aggregator.Object{"storm": open, "resolved": resolved, "single": single,
		"absorbed": absorbed} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(Render(s, o), "", "  ")
			require.NoError(t, err)
			path := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(got))
		})
	}
}

// An incident of the most alerts that a policy may track, with the longest names, stays below 256 KiB and keeps its
// counts.
func TestRenderIsBounded(t *testing.T) {
	s, o := storm(10000)
	for i := range o.Members {
		o.Members[i].Resource.Name = fmt.Sprintf("%s-%d", strings.Repeat("x", 240), i)
	}
	o.CommonLabels = map[string]string{"long": strings.Repeat("y", 16<<10)}
	incident := Render(s, o)
	raw, err := json.Marshal(incident)
	require.NoError(t, err)
	require.Less(t, len(raw), 256<<10)
	require.True(t, incident.Status.Truncated)
	require.EqualValues(t, 10000, incident.Status.ResourceCount)
	require.NotEmpty(t, incident.Status.Resources)
	members, err := MembersOf(incident)
	require.NoError(t, err)
	require.Len(t, members, 10000)
	t.Logf(
		"%d bytes with %d of %d resources listed",
		len(raw),
		len(incident.Status.Resources),
		incident.Status.ResourceCount,
	)
}

// What Render writes, read gives back, as far as an import needs it.
func TestReadReversesRender(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := storm(rapid.IntRange(1, 40).Draw(t, "alerts"))
		o.Reopened = rapid.IntRange(0, 3).Draw(t, "reopened")
		if rapid.Bool().Draw(t, "ended") {
			o.State, o.EndedAt = aggregator.StateResolved, start.Add(time.Hour)
			o.Reason = rapid.SampledFrom([]string{"AllResolved", "Quiet", "MaxDuration"}).Draw(t, "reason")
		}
		i, err := read(Render(s, o))
		require.NoError(t, err)
		require.Equal(t, s.Group, i.Group)
		require.Equal(t, s.Policy, i.Policy)
		require.Equal(t, s.Labels, i.Labels)
		got := i.Object
		require.Equal(t, []any{o.Name, o.Namespace, o.Storm, o.State, o.Reason, o.Revision, o.Reopened, o.Total, o.Firing},
			[]any{got.Name, got.Namespace, got.Storm, got.State, got.Reason, got.Revision, got.Reopened, got.Total, got.Firing})
		firing := map[string]bool{}
		for _, m := range o.Members {
			firing[m.Fingerprint] = m.Firing
		}
		require.Len(t, got.Members, len(o.Members))
		for _, m := range got.Members {
			require.Equal(t, firing[m.Fingerprint], m.Firing)
		}
	})
}

func TestDecodeMembersRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		encoded string
		firing  int32
	}{{"!", 0}, {"AAAA", 0}, {"AAAAAAAAAAE=", 2}, {"AAAAAAAAAAE=", -1}} {
		_, err := decodeMembers(v1alpha1.Upkeep{Members: c.encoded, Firing: c.firing})
		require.ErrorContains(t, err, "status.upkeep.members")
	}
}

func TestLabelValuesAreValidAndDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		require.Empty(t, validation.IsValidLabelValue(labelValue(a)))
		if a != b {
			require.NotEqual(t, labelValue(a), labelValue(b))
		}
	})
}

func TestSeverityIsTheHighestFiring(t *testing.T) {
	rank := (&aggregator.Snapshot{}).Severities.Rank
	members := []aggregator.Member{
		{Severity: "critical"},
		{Severity: "warning", Firing: true},
		{Severity: "page-me", Firing: true},
	}
	require.Equal(t, "warning", severity(members, rank))
	require.Equal(t, "critical", severity(members[:1], rank))
	require.Empty(t, severity(nil, rank))
}
