package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// quick is a policy whose times a test can wait for.
const quick = `
policies:
- name: quick
  groupBy: [namespace, alertname]
  threshold: 5
  window: %s
  quiet: %s
  maxDuration: %s
  cooldown: %s
  retention: %s
  flush: {min: 100ms, max: 1s}
`

func quickPolicy(t testing.TB, quiet, maxDuration, cooldown, retention string) string {
	window := min(mustDuration(t, quiet), time.Minute) // No longer than quiet.
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(
		t,
		os.WriteFile(path, fmt.Appendf(nil, quick, model.Duration(window), quiet, maxDuration, cooldown, retention), 0o644),
	)
	return "STORMFOLD_POLICIES=" + path
}

func mustDuration(t testing.TB, s string) time.Duration {
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}

// ended waits until the scene's only incident is resolved for a reason.
func (s *scene) ended(reason string) v1alpha1.Incident {
	s.t.Helper()
	return s.await(func(items []v1alpha1.Incident) error {
		if len(items) == 1 {
			c := meta.FindStatusCondition(items[0].Status.Conditions, v1alpha1.ConditionResolved)
			if c != nil && c.Status == metav1.ConditionTrue && c.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("want one incident resolved for %s, have %s", reason, summary(items))
	})[0]
}

func TestPromotionInPlace(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h")))
	alerts := s.pods("PodDown", 5, "firing")
	for i, a := range alerts[:4] {
		s.notify(a)
		s.await(func(items []v1alpha1.Incident) error {
			unwritten := func(i v1alpha1.Incident) bool { return i.Status.State == "" } // They come in the order of their names.
			if len(items) != i+1 || slices.ContainsFunc(items, unwritten) {
				return fmt.Errorf("want %d incidents, have %s", i+1, summary(items))
			}
			return nil
		})
	}
	oldest := s.list()[0]
	for _, i := range s.list() {
		require.Equal(t, v1alpha1.TypeAlert, i.Status.Type)
		if i.Status.ObservedRevision < oldest.Status.ObservedRevision {
			oldest = i
		}
	}
	s.notify(alerts[4])
	items := s.await(func(items []v1alpha1.Incident) error {
		absorbed := 0
		for _, i := range items {
			if i.Status.State == v1alpha1.StateAbsorbed {
				absorbed++
			}
		}
		if len(items) != 4 || absorbed != 3 {
			return fmt.Errorf("want 3 of 4 absorbed, have %s", summary(items))
		}
		return nil
	})
	for _, i := range items {
		if i.UID == oldest.UID {
			require.Equal(t, v1alpha1.TypeStorm, i.Status.Type, "the oldest becomes the storm")
			require.Equal(t, v1alpha1.AlertCounts{Total: 5, Firing: 5}, i.Status.Alerts)
			require.True(t, meta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.ConditionStorm))
			continue
		}
		require.Equal(t, oldest.Name, i.Status.AbsorbedBy)
		require.Equal(
			t,
			v1alpha1.ReasonAbsorbed,
			meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionResolved).Reason,
		)
	}
}

func TestResolutionAndReopening(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h")))
	s.notify(s.pods("PodDown", 6, "firing")...)
	before := s.awaitOne(6, 6, 0)
	a := s.notify(s.pods("PodDown", 6, "resolved")...)
	require.Equal(t, "io.stormfold.incident.resolved.v1", a.reply)
	i := s.ended(v1alpha1.ReasonAllResolved)
	require.Equal(t, v1alpha1.AlertCounts{Total: 6, Resolved: 6}, i.Status.Alerts)
	require.NotNil(t, i.Status.ResolvedAt)
	s.notify(again(s.pods("PodDown", 1, "firing")...)...)
	i = s.awaitOne(6, 1, 5)
	require.Equal(t, before.UID, i.UID)
	require.EqualValues(t, 1, i.Status.Reopened)
	require.Equal(
		t,
		v1alpha1.ReasonReopened,
		meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionResolved).Reason,
	)
	require.Nil(t, i.Status.ResolvedAt)
}

func TestQuietEndAndRetention(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "3s", "1h", "1s", "3s"), "STORMFOLD_SWEEP_INTERVAL=1s"))
	s.notify(s.pods("PodDown", 6, "firing")...)
	s.awaitOne(6, 6, 0)
	i := s.ended(v1alpha1.ReasonQuiet)
	require.Equal(t, v1alpha1.AlertCounts{Total: 6, Resolved: 6, Quiet: 6}, i.Status.Alerts)
	s.await(func(items []v1alpha1.Incident) error {
		if len(items) > 0 {
			return fmt.Errorf("retention is over, have %s", summary(items))
		}
		return nil
	})
}

func TestMaxDuration(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "2s", "4s", "1s", "1h"), "STORMFOLD_SWEEP_INTERVAL=1s"))
	s.notify(s.pods("PodDown", 6, "firing")...)
	s.awaitOne(6, 6, 0)
	eventually(t, 20*time.Second, func() error {
		s.notify(s.pods("PodDown", 6, "firing")...)
		for _, i := range s.list() {
			c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionResolved)
			if c != nil && c.Reason == v1alpha1.ReasonMaxDuration {
				return nil
			}
		}
		return fmt.Errorf("not ended: %s", summary(s.list()))
	})
}

// An incident that someone made fire again is not deleted when its retention is over: its group takes it back, and ends
// it.
func TestAReopenedObjectIsNotDeleted(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "2s", "1h", "1s", "4s"), "STORMFOLD_SWEEP_INTERVAL=1s"))
	s.notify(s.pods("PodDown", 6, "firing")...)
	s.awaitOne(6, 6, 0)
	i := s.ended(v1alpha1.ReasonQuiet)
	i.Status.State, i.Status.Alerts, i.Status.Upkeep.Firing = v1alpha1.StateFiring, v1alpha1.AlertCounts{
		Total:  6,
		Firing: 6,
	}, 6
	edited, err := incidents.UpdateStatus(t.Context(), &i)
	require.NoError(t, err)
	after := s.await(func(items []v1alpha1.Incident) error {
		if len(items) != 1 || items[0].Status.ObservedRevision <= edited.Status.ObservedRevision {
			return fmt.Errorf("want it taken back, have %s", summary(items))
		}
		return nil
	})[0]
	require.Equal(t, edited.UID, after.UID)
	require.Equal(t, edited.UID, s.ended(v1alpha1.ReasonQuiet).UID)
}

func TestAnObjectDeletedByHandComesBack(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h")))
	s.notify(s.pods("PodDown", 6, "firing")...)
	before := s.awaitOne(6, 6, 0)
	require.NoError(t, incidents.Delete(t.Context(), before.Namespace, before.Name, metav1.Preconditions{}))
	s.notify(s.alert("PodDown", "web-6", "firing"))
	after := s.awaitOne(7, 7, 0)
	require.Equal(t, before.Name, after.Name)
	require.NotEqual(t, before.UID, after.UID)
}

func TestAStatusEditedBySomeoneElseIsOvertaken(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h")))
	s.notify(s.pods("PodDown", 6, "firing")...)
	i := s.awaitOne(6, 6, 0)
	i.Status.ObservedRevision += 3_600_000
	i.Status.Alerts = v1alpha1.AlertCounts{Total: 1}
	edited, err := incidents.UpdateStatus(t.Context(), &i)
	require.NoError(t, err)
	s.notify(s.alert("PodDown", "web-6", "firing"))
	after := s.awaitOne(7, 7, 0)
	require.Greater(t, after.Status.ObservedRevision, edited.Status.ObservedRevision)
}

// There is no new notification about the storm: a manual change is still undone.
func TestWhatSomeoneChangesIsPutRight(t *testing.T) {
	own := testbed.Redis(t)
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h"), "STORMFOLD_REDIS_URL="+own.URL,
		"STORMFOLD_RESYNC_INTERVAL=1s", "STORMFOLD_SWEEP_INTERVAL=1s"))
	s.notify(s.pods("PodDown", 6, "firing")...)
	before := s.awaitOne(6, 6, 0)

	require.NoError(t, incidents.Delete(t.Context(), before.Namespace, before.Name, metav1.Preconditions{}))
	after := s.awaitOne(6, 6, 0)
	require.Equal(t, before.Name, after.Name)
	require.NotEqual(t, before.UID, after.UID)
	require.Equal(t, before.Status, after.Status)

	for name, edit := range map[string]func(*v1alpha1.IncidentStatus){
		"counts":         func(st *v1alpha1.IncidentStatus) { st.Alerts.Total = 1 },
		"an older state": func(st *v1alpha1.IncidentStatus) { st.ObservedRevision--; st.State = v1alpha1.StateResolved },
		"unreadable":     func(st *v1alpha1.IncidentStatus) { st.Upkeep.Members = "AAAA" },
		"all":            func(st *v1alpha1.IncidentStatus) { *st = v1alpha1.IncidentStatus{} },
	} {
		i, err := incidents.Get(t.Context(), after.Namespace, after.Name)
		require.NoError(t, err)
		edit(&i.Status)
		_, err = incidents.UpdateStatus(t.Context(), i)
		require.NoError(t, err, name)
		s.await(func(items []v1alpha1.Incident) error {
			if len(items) != 1 || !equality.Semantic.DeepEqual(before.Status, items[0].Status) {
				return fmt.Errorf("%s: still %s", name, summary(items))
			}
			return nil
		})
	}
}

func TestAnEmptiedRedisGoesOnWithTheSameIncident(t *testing.T) {
	own := testbed.Redis(t)
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h"), "STORMFOLD_REDIS_URL="+own.URL))
	s.notify(s.pods("PodDown", 15, "firing")...)
	before := s.awaitOne(15, 15, 0)
	require.NoError(t, own.Client().FlushAll(t.Context()).Err())
	s.notify(s.alert("PodDown", "web-15", "firing"))
	after := s.awaitOne(16, 16, 0)
	require.Equal(t, before.UID, after.UID, "the same object")
	require.EqualValues(t, 16, after.Status.ResourceCount, "what the object knew of the resources is kept")
	s.notify(s.pods("PodDown", 16, "resolved")...)
	i := s.ended(v1alpha1.ReasonAllResolved)
	require.Equal(t, before.UID, i.UID)
	require.Equal(t, v1alpha1.AlertCounts{Total: 16, Resolved: 16}, i.Status.Alerts)
}

// A pod that dies with changes unwritten leaves them due; another one writes them.
func TestAnotherPodCarriesOn(t *testing.T) {
	policy := quickPolicy(t, "1h", "1h", "1m", "1h")
	dying := startPod(t, policy, "STORMFOLD_SWEEP_INTERVAL=1s")
	s := newScene(t, dying)
	s.notify(s.pods("PodDown", 6, "firing")...)
	s.awaitOne(6, 6, 0)
	s.notify(s.pods("PodDown", 9, "firing")...) // Acknowledged, and not written within the flush interval.
	require.NoError(t, dying.Signal(syscall.SIGKILL))
	startPod(t, policy, "STORMFOLD_SWEEP_INTERVAL=1s", "STORMFOLD_LEASE=5s")
	s.awaitOne(9, 9, 0)
}

// On SIGTERM a pod writes what it still remembers before it ends.
func TestATerminatedPodWritesWhatItRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(
		t,
		os.WriteFile(path, []byte("policies: [{name: slow, groupBy: [namespace], flush: {min: 1m, max: 1m}}]"), 0o644),
	)
	p := startPod(t, "STORMFOLD_POLICIES="+path)
	s := newScene(t, p)
	s.notify(s.pods("PodDown", 6, "firing")...)
	s.awaitOne(6, 6, 0)
	s.notify(s.pods("PodDown", 9, "firing")...)
	require.EqualValues(t, 6, s.list()[0].Status.Alerts.Total, "the flush interval is a minute")
	require.NoError(t, p.Signal(syscall.SIGTERM))
	require.NoError(t, p.Wait())
	require.EqualValues(t, 9, s.list()[0].Status.Alerts.Total)
}

func TestAKubernetesEventIsAnAlert(t *testing.T) {
	s := newScene(t, startPod(t, quickPolicy(t, "1h", "1h", "1m", "1h")))
	a := s.post("dev.knative.apiserver.resource.add", map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "BackOff",
		"message":        "Back-off restarting failed container",
		"metadata":       map[string]any{"name": "web-0.1", "namespace": s.namespace, "uid": "1"},
		"involvedObject": map[string]any{"kind": "Pod", "namespace": s.namespace, "name": "web-0"},
		"firstTimestamp": time.Now().
			UTC().
			Format(time.RFC3339),
		"lastTimestamp": time.Now().UTC().Format(time.RFC3339), "count": 3,
	})
	require.Equal(t, 2, a.code/100, a.body)
	i := s.awaitOne(1, 1, 0)
	require.Equal(t, "BackOff", i.Spec.AlertName)
	require.Equal(
		t,
		[]v1alpha1.Resource{{Kind: "Pod", Namespace: s.namespace, Name: "web-0", Firing: true}},
		i.Status.Resources,
	)
}
