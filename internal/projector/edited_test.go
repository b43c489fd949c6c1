package projector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// One object that someone broke is reported and does not keep the others of its shard from being imported.
func TestABrokenObjectDoesNotBlockItsShard(t *testing.T) {
	m := &Memory{}
	for name, labels := range map[string]map[string]string{
		"good":     {v1alpha1.LabelShard: "03", v1alpha1.LabelGroup: "0300000000000000"},
		"members":  {v1alpha1.LabelShard: "03", v1alpha1.LabelGroup: "0300000000000000"},
		"no-group": {v1alpha1.LabelShard: "03"},
		"other":    {v1alpha1.LabelShard: "03", v1alpha1.LabelGroup: "0400000000000000"},
	} {
		i, err := m.Create(
			t.Context(),
			&v1alpha1.Incident{ObjectMeta: metav1.ObjectMeta{Namespace: "stormfold", Name: name, Labels: labels}},
		)
		require.NoError(t, err)
		if name == "members" {
			i.Status.Upkeep.Members = "AAAA"
			_, err = m.UpdateStatus(t.Context(), i)
			require.NoError(t, err)
		}
	}
	skipped := map[string]bool{}
	p := New(
		Options{Incidents: m, Timeout: time.Second, Skipped: func(incident string, _ error) { skipped[incident] = true }},
	)
	var taken []string
	broken := map[string]string{}
	require.NoError(t, p.ImportShard(t.Context(), "stormfold", 3, func(i aggregator.Imported) error {
		taken = append(taken, i.Object.Name)
		return nil
	}, func(name, resourceVersion string) { broken[name] = resourceVersion }))
	require.Equal(t, []string{"good"}, taken)
	require.Len(t, broken, 3)
	require.NotEmpty(t, broken["members"])
	require.Equal(
		t,
		map[string]bool{"stormfold/members": true, "stormfold/no-group": true, "stormfold/other": true},
		skipped,
	)
}

// A storm that is over keeps the lists of its object when some of its alerts are in a new incident already.
func TestAStormThatIsOverKeepsItsLists(t *testing.T) {
	both(t, func(t *testing.T, incidents Incidents) {
		first, err := project(t, incidents, func(*aggregator.Object) {})
		require.NoError(t, err)
		before := get(t, incidents).Status
		_, err = project(t, incidents, func(o *aggregator.Object) {
			o.Revision++
			o.ResourceVersion = first.ResourceVersion
			o.State, o.Reason, o.EndedAt = aggregator.StateResolved, "Quiet", start.Add(5*time.Hour)
			o.Members = o.Members[:3]
		})
		require.NoError(t, err)
		after := get(t, incidents).Status
		require.Equal(t, v1alpha1.StateResolved, after.State)
		require.Equal(t, before.Upkeep.Members, after.Upkeep.Members)
		require.Equal(t, before.Alerts, after.Alerts)
		require.Equal(t, before.Resources, after.Resources)
		require.Equal(t, before.Severity, after.Severity)
	})
}

// Created, and then the pod died: the label tells which alert it was for.
func TestAnObjectWithoutStatusIsKnownByItsLabel(t *testing.T) {
	m := &Memory{}
	_, err := m.Create(
		t.Context(),
		&v1alpha1.Incident{ObjectMeta: metav1.ObjectMeta{Namespace: "stormfold", Name: "a", Labels: map[string]string{
			v1alpha1.LabelShard: "03", v1alpha1.LabelGroup: "0300000000000000", v1alpha1.LabelFingerprint: "00000000000000ff",
		}}},
	)
	require.NoError(t, err)
	var taken []aggregator.Imported
	require.NoError(
		t,
		New(
			Options{Incidents: m, Timeout: time.Second},
		).ImportShard(t.Context(), "stormfold", 3, func(i aggregator.Imported) error {
			taken = append(taken, i)
			return nil
		}, func(string, string) {}),
	)
	require.Len(t, taken, 1)
	require.Equal(t, "00000000000000ff", taken[0].Object.Fingerprint)
	require.Equal(t, []aggregator.Member{{Fingerprint: "00000000000000ff", Firing: true}}, taken[0].Object.Members)
	require.Equal(t, aggregator.StateFiring, taken[0].Object.State)
}
