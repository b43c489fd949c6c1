package projector

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// With a threshold of 1 a group has one object from its first alert on: it is shown as an Alert until it has had a
// second.
func TestTheTypeOfAThresholdOfOne(t *testing.T) {
	for name, c := range map[string]struct {
		alerts, beyond int
		stormAt        time.Time
		want           v1alpha1.Type
	}{
		"one alert":                    {1, 0, time.Time{}, v1alpha1.TypeAlert},
		"two alerts":                   {2, 0, start.Add(time.Minute), v1alpha1.TypeStorm},
		"imported":                     {2, 0, time.Time{}, v1alpha1.TypeStorm},
		"one and more beyond":          {1, 3, time.Time{}, v1alpha1.TypeStorm},
		"a storm with one alert left":  {1, 0, start.Add(time.Minute), v1alpha1.TypeStorm},
		"a storm of which all is lost": {0, 0, start.Add(time.Minute), v1alpha1.TypeStorm},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := storm(c.alerts)
			o.Beyond, o.StormAt = c.beyond, c.stormAt
			i := Render(s, o)
			require.Equal(t, c.want, i.Status.Type)
			condition := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionStorm)
			require.False(t, condition.LastTransitionTime.IsZero())
			if c.want == v1alpha1.TypeAlert {
				require.Equal(t, v1alpha1.ReasonBelowThreshold, condition.Reason)
				require.Nil(t, i.Status.StormAt)
				require.Empty(t, i.Status.Hotspots)
			} else {
				require.Equal(t, v1alpha1.ReasonThresholdCrossed, condition.Reason)
			}
			back, err := read(i)
			require.NoError(t, err)
			require.Equal(t, c.want == v1alpha1.TypeStorm, back.Object.Storm)
			require.Len(t, back.Object.Members, c.alerts)
		})
	}
}

// Alerts that are over because they were not reported are told apart from those that someone resolved.
func TestQuietAlertsAreCounted(t *testing.T) {
	s, o := storm(9) // Every third of them is resolved.
	o.Members[2].Quiet, o.Members[5].Quiet = true, true
	require.Equal(t, v1alpha1.AlertCounts{Total: 9, Firing: 6, Resolved: 3, Quiet: 2}, Render(s, o).Status.Alerts)

	for reason, want := range map[string]int32{"Quiet": 1, "AllResolved": 0, "MaxDuration": 0} {
		s, o = storm(1)
		o.Storm, o.State, o.Reason, o.EndedAt, o.Firing = false, aggregator.StateResolved, reason, start.Add(time.Hour), 0
		o.Members[0].Firing = false
		require.Equal(t, v1alpha1.AlertCounts{Total: 1, Resolved: 1, Quiet: want}, Render(s, o).Status.Alerts, reason)
	}

	// Redis has forgotten which of the resolved are quiet; the object has not.
	s, o = storm(9)
	have := Render(s, o)
	have.Status.Alerts.Quiet = 2
	for i := range o.Members {
		o.Members[i].Resource = subject.Resource{}
	}
	want := Render(s, o)
	carry(want, have, s, o)
	require.EqualValues(t, 2, want.Status.Alerts.Quiet)
}
