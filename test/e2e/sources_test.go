package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// TestTickEndsAQuietStorm: a storm that nobody speaks of any more is ended by the tick of the PingSource, and by
// nothing else: no alert comes, the processes that knew of the storm are gone, and the sweeps of the others are too far
// apart.
func TestTickEndsAQuietStorm(t *testing.T) {
	t.Parallel()
	with := options{quiet: "25s", env: []string{"STORMFOLD_SWEEP_INTERVAL=10m"}}
	without := with
	without.patches = `
- patch: |-
    $patch: delete
    apiVersion: sources.knative.dev/v1
    kind: PingSource
    metadata: {name: stormfold-tick}
`
	i := install(t, without)
	for n := range 6 {
		i.send(strconv.Itoa(n), "io.prometheus.alertmanager.alert.v1", map[string]any{
			"status": "firing", "labels": map[string]string{"alertname": "PodDown", "namespace": "shop",
				"pod": fmt.Sprintf("web-%d", n)},
			"startsAt": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339),
		})
	}
	open := i.awaitStorm(6, 6, 0)
	i.restart()
	testbed.Eventually(t, time.Minute, "a group that no pod continues", func(ctx context.Context) error {
		return i.overdue(ctx, 2*time.Second)
	})
	require.Equal(t, v1alpha1.StateFiring, i.awaitStorm(6, 6, 0).Status.State)

	with.patches = `
- target: {kind: PingSource, name: stormfold-tick}
  patch: |-
    - {op: replace, path: /spec/schedule, value: "*/2 * * * * *"}
`
	i.apply(with)
	eventing.WaitPingSource(t, i.namespace, "stormfold-tick")
	var ended v1alpha1.Incident
	i.await("the end of the storm", func(items []v1alpha1.Incident) error {
		for _, item := range items {
			if item.Name == open.Name && item.Status.State == v1alpha1.StateResolved {
				ended = item
				return nil
			}
		}
		return errors.New("it goes on")
	})
	condition := meta.FindStatusCondition(ended.Status.Conditions, v1alpha1.ConditionResolved)
	require.NotNil(t, condition)
	assert.Equal(t, "Quiet", condition.Reason)
}

// overdue reports as an error when no group has waited that long for someone to carry it on.
func (i *installation) overdue(ctx context.Context, by time.Duration) error {
	client := i.redis.Client()
	now, err := client.Time(ctx).Result()
	if err != nil {
		return err
	}
	latest := strconv.FormatInt(now.Add(-by).UnixMilli(), 10)
	for shard := range 16 {
		key := fmt.Sprintf("{sf:%02d}:due", shard)
		groups, err := client.ZCount(ctx, key, "-inf", latest).Result()
		if err != nil {
			return err
		}
		if groups > 0 {
			return nil
		}
	}
	return errors.New("no group is overdue")
}

// TestKubernetesEvents: Events of type Warning that someone reports to the API server become an incident by way of the
// ApiServerSource of deploy/, with that source's own ServiceAccount.
func TestKubernetesEvents(t *testing.T) {
	t.Parallel()
	i := install(t, options{components: []string{"eventing/kubernetes-events"}})
	eventing.RunAPIServerSource(t, i.namespace, "stormfold-kubernetes-events")
	shop := cluster.CreateNamespace(t, "shop-")
	report := func(n int, kind, reason string) error {
		now := metav1.Now()
		pod := fmt.Sprintf("web-%d", n)
		_, err := cluster.Client.CoreV1().Events(shop).Create(t.Context(), &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%d", pod, now.UnixNano())},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: shop, Name: pod},
			Type:           kind, Reason: reason, Message: "Back-off restarting failed container",
			FirstTimestamp: now, LastTimestamp: now, Count: 1, Source: corev1.EventSource{Component: "kubelet"},
		}, metav1.CreateOptions{})
		return err
	}
	told := func(items []v1alpha1.Incident, reason string) (of []v1alpha1.Incident) {
		for _, item := range items {
			if item.Spec.AlertName == reason && item.Spec.GroupLabels["namespace"] == shop &&
				item.Status.State != v1alpha1.StateAbsorbed {
				of = append(of, item)
			}
		}
		return of
	}
	// The source does not say when its watch has begun, before which it sees nothing.
	i.await("the source's watch", func(items []v1alpha1.Incident) error {
		if len(told(items, "Unhealthy")) > 0 {
			return nil
		}
		return errors.Join(errors.New("nothing was told so far"), report(0, corev1.EventTypeWarning, "Unhealthy"))
	})

	for n := range 6 {
		require.NoError(t, report(n, corev1.EventTypeNormal, "Pulled"))
		require.NoError(t, report(n, corev1.EventTypeWarning, "BackOff"))
	}
	var ours []v1alpha1.Incident
	i.await("an incident of the Warnings", func(items []v1alpha1.Incident) error {
		ours = told(items, "BackOff")
		if len(ours) != 1 || ours[0].Status.Alerts != (v1alpha1.AlertCounts{Total: 6, Firing: 6}) {
			return errors.New("it is not there")
		}
		return nil
	})
	assert.Empty(t, told(i.await("all incidents", func([]v1alpha1.Incident) error { return nil }), "Pulled"))
	assert.Equal(t, v1alpha1.TypeStorm, ours[0].Status.Type)
	for _, resource := range ours[0].Status.Resources {
		assert.Equal(t, "Pod", resource.Kind)
		assert.Equal(t, shop, resource.Namespace)
	}
	assert.Empty(t, i.dead.Deliveries())
}
