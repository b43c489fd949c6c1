package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// TestStorm are the six storm tests that the project is measured by.
func TestStorm(t *testing.T) {
	p := startPod(t)

	t.Run("should create new storm CRD with single affected resource", func(t *testing.T) {
		s := newScene(t, p)
		// Five alerts about one pod: five containers of it.
		var alerts []map[string]any
		for i := range 5 {
			alerts = append(alerts, s.alert("ContainerDown", "web-0", "firing", "container", fmt.Sprintf("c%d", i)))
		}
		a := s.notify(alerts...)
		require.Equal(t, "io.stormfold.incident.storm.v1", a.reply)
		i := s.awaitOne(5, 5, 0)
		require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
		require.Equal(t, v1alpha1.StateFiring, i.Status.State)
		require.Equal(
			t,
			[]v1alpha1.Resource{{Kind: "Pod", Namespace: s.namespace, Name: "web-0", Firing: true}},
			i.Status.Resources,
		)
		require.EqualValues(t, 1, i.Status.ResourceCount)
		require.Equal(t, "default", i.Spec.Policy)
		require.Equal(t, "ContainerDown", i.Spec.AlertName)
		require.Equal(t, map[string]string{"alertname": "ContainerDown", "namespace": s.namespace}, i.Spec.GroupLabels)
		require.Equal(t, i.Name, a.data["incident"].(map[string]any)["name"])
	})

	t.Run("should update existing storm CRD with additional affected resources", func(t *testing.T) {
		s := newScene(t, p)
		s.notify(s.pods("PodDown", 5, "firing")...)
		before := s.awaitOne(5, 5, 0)
		s.notify(s.pods("PodDown", 8, "firing")...)
		after := s.awaitOne(8, 8, 0)
		require.Equal(t, before.UID, after.UID, "the same object")
		require.Len(t, after.Status.Resources, 8)
		require.Greater(t, after.Status.ObservedRevision, before.Status.ObservedRevision)
		s.notify(s.pods("PodDown", 3, "resolved")...)
		after = s.awaitOne(8, 5, 3)
		require.Equal(t, before.UID, after.UID)
		firing := 0
		for n, r := range after.Status.Resources {
			if r.Firing {
				firing++
				require.Less(t, n, 5, "firing resources come first")
			}
		}
		require.Equal(t, 5, firing)
	})

	t.Run("should create single CRD with 15 affected resources", func(t *testing.T) {
		s := newScene(t, p)
		s.notify(s.pods("PodDown", 15, "firing")...)
		i := s.awaitOne(15, 15, 0)
		require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
		require.Len(t, i.Status.Resources, 15)
		require.EqualValues(t, 15, i.Status.ResourceCount)
		require.EqualValues(t, 15, i.Status.Upkeep.Firing)
		require.False(t, i.Status.Truncated)
	})

	t.Run("should deduplicate affected resources list", func(t *testing.T) {
		s := newScene(t, p)
		// Ten alerts about five pods, each event delivered three times.
		var alerts []map[string]any
		for i := range 10 {
			alerts = append(
				alerts,
				s.alert("ContainerDown", fmt.Sprintf("web-%d", i%5), "firing", "container", fmt.Sprintf("c%d", i)),
			)
		}
		for range 3 {
			s.notify(alerts...)
		}
		i := s.awaitOne(10, 10, 0)
		var names []string
		for _, r := range i.Status.Resources {
			names = append(names, r.Name)
		}
		require.Equal(t, []string{"web-0", "web-1", "web-2", "web-3", "web-4"}, names)
		require.EqualValues(t, 5, i.Status.ResourceCount)
	})

	t.Run("should aggregate 15 concurrent Prometheus alerts into 1 storm CRD", func(t *testing.T) {
		s := newScene(t, p)
		before := cluster.IncidentRequests(t)
		for _, code := range s.atOnce(s.pods("PodDown", 15, "firing")...) {
			require.Equal(t, 2, code/100)
		}
		i := s.awaitOne(15, 15, 0)
		require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
		require.Len(t, i.Status.Resources, 15)
		require.EqualValues(t, 15, i.Status.ResourceCount)
		// A create, its status, and one status for all that came after: the server counts a request just after its answer.
		eventually(t, 5*time.Second, func() error {
			if n := cluster.IncidentRequests(t).Since(before).Writes(); n < 2 {
				return fmt.Errorf("%d writes counted", n)
			}
			return nil
		})
		writes := cluster.IncidentRequests(t).Since(before).Writes()
		require.LessOrEqual(t, writes, 4, "write requests on incidents and their status")
		t.Logf("%d writes for 15 concurrent alerts", writes)
	})

	t.Run("should handle mixed storm and non-storm alerts correctly", func(t *testing.T) {
		s := newScene(t, p)
		alerts := s.pods("PodDown", 7, "firing")
		alerts = append(alerts, s.alert("DiskFull", "db-0", "firing"), s.alert("HighLatency", "web-0", "firing"))
		for _, code := range s.atOnce(alerts...) {
			require.Equal(t, 2, code/100)
		}
		items := s.await(func(items []v1alpha1.Incident) error {
			total := int32(0)
			for _, i := range items {
				total += i.Status.Alerts.Total
			}
			if len(items) != 3 || total != 9 {
				return fmt.Errorf("want 3 incidents of 9 alerts, have %s", summary(items))
			}
			return nil
		})
		types := map[string]v1alpha1.Type{}
		totals := map[string]int32{}
		for _, i := range items {
			types[i.Spec.AlertName] = i.Status.Type
			totals[i.Spec.AlertName] = i.Status.Alerts.Total
		}
		require.Equal(t, map[string]v1alpha1.Type{
			"PodDown": v1alpha1.TypeStorm, "DiskFull": v1alpha1.TypeAlert, "HighLatency": v1alpha1.TypeAlert,
		}, types)
		require.Equal(t, map[string]int32{"PodDown": 7, "DiskFull": 1, "HighLatency": 1}, totals)
	})
}
