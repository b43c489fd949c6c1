package projector

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// sameTime is an outage of incidents that only began at the same time.
func sameTime() (*aggregator.Snapshot, aggregator.Object) {
	s, o := outageOf(5)
	s.Policy, s.Labels = "many-namespaces", map[string]string{"cluster": "prod-1"}
	o.Name, o.Total, o.Firing = "many-namespaces-prod-1-aaaaaaaaaa", 5, 4
	o.Outage.Policy, o.Outage.Evidence, o.Outage.Cause = "many-namespaces", aggregator.EvidenceTime, ""
	o.Outage.Members = o.Outage.Members[1:]
	return s, o
}

// ended is an outage that is over.
func ended(o aggregator.Object, state aggregator.State, reason string) aggregator.Object {
	o.State, o.Reason, o.EndedAt = state, reason, o.OpenedAt.Add(time.Hour)
	o.ChangedAt = o.EndedAt
	return o
}

func TestRenderOutageGolden(t *testing.T) {
	node, open := outageOf(3)
	others, low := sameTime()
	absorbed := ended(open, aggregator.StateAbsorbed, "")
	absorbed.AbsorbedBy, absorbed.Outage = "zone-a-aaaaaaaaaa", &aggregator.Outage{Policy: "node", Evidence: "Cause"}
	absorbed.Total, absorbed.Firing = 0, 0
	below := ended(open, aggregator.StateResolved, v1alpha1.ReasonBelowThreshold)
	below.Outage, below.Total, below.Firing = absorbed.Outage, 0, 0
	for _, c := range []struct {
		name     string
		snapshot *aggregator.Snapshot
		object   aggregator.Object
		summary  string
		message  string
	}{
		{"outage", node, open, "3 of 4 incidents firing since 03:00 UTC on May 1, probably Node/worker-1, " +
			"6 alerts in 3 namespaces, critical", "3 of 4 incidents firing"},
		{"outage-low", others, low, "4 of 5 incidents firing since 03:01 UTC on May 1, " +
			"cause not known (they began at the same time), 5 alerts in 5 namespaces, critical", "4 of 5 incidents firing"},
		{"outage-resolved", node, ended(open, aggregator.StateResolved, v1alpha1.ReasonAllResolved),
			"4 incidents resolved at 04:00 UTC on May 1 after 1h0m, probably Node/worker-1, 6 alerts in 3 namespaces, critical",
			"0 of 4 incidents firing"},
		{"outage-absorbed", node, absorbed, "now part of zone-a-aaaaaaaaaa",
			"its incidents are part of zone-a-aaaaaaaaaa"},
		{"outage-below", node, below, "no longer an outage since 04:00 UTC on May 1",
			"too few incidents are left, or none of them is a cause"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := Render(c.snapshot, c.object)
			assert.Equal(t, c.summary, i.Status.Summary)
			require.Len(t, i.Status.Conditions, 1, "an outage is no storm")
			assert.Equal(t, c.message, i.Status.Conditions[0].Message)
			got, err := yaml.Marshal(i)
			require.NoError(t, err)
			path := filepath.Join("testdata", c.name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(path, got, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))

			imported, err := read(i)
			require.NoError(t, err)
			assert.Equal(t, []any{c.object.State, c.object.EndedAt, c.object.AbsorbedBy, c.object.Total},
				[]any{imported.Object.State, imported.Object.EndedAt, imported.Object.AbsorbedBy, imported.Object.Total})
		})
	}
}

func TestSubjectOfAnOutage(t *testing.T) {
	s, o := outageOf(3)
	o.Outage.Members[0].Subject = subject.Resource{}
	st := Render(s, o).Status
	assert.Equal(t, &v1alpha1.Subject{Kind: "Node", Name: "worker-1"}, st.Subject, "the group's label says it")
	assert.Equal(t, "Node/worker-1", st.About)
	assert.Empty(t, st.ProbableCause.About)
	assert.Contains(t, st.Summary, "probably Node/worker-1")

	s.Labels = map[string]string{"zone": "a"}
	assert.Equal(t, &v1alpha1.Subject{Kind: "Zone", Name: "a"}, Render(s, o).Status.Subject)

	s, o = sameTime()
	st = Render(s, o).Status
	assert.Nil(t, st.Subject)
	assert.Nil(t, st.ProbableCause)
	assert.Equal(t, "low", st.Confidence)
}
