package deploy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/source"
)

// TestTheSourceCanSendToTheFunction: with the component it is bound to the function's Service, may reach it, and waits
// for its answer.
func TestTheSourceCanSendToTheFunction(t *testing.T) {
	objects := render(t, overlay(t, "stormfold", []string{"source", "function", "network-policies"}, "source/direct"))
	ref, _, err := unstructured.NestedStringMap(
		find(t, objects, "SinkBinding", "stormfold-source").Object,
		"spec",
		"sink",
		"ref",
	)
	require.NoError(t, err)
	function := find(t, objects, "Service", "stormfold")
	require.Equal(
		t,
		map[string]string{"apiVersion": function.GetAPIVersion(), "kind": "Service", "name": function.GetName()},
		ref,
	)

	var deployment appsv1.Deployment
	require.NoError(t, convert(find(t, objects, "Deployment", "stormfold-source").Object, &deployment))
	environ := map[string]string{"K_SINK": "http://stormfold.stormfold.svc.cluster.local"}
	for _, e := range deployment.Spec.Template.Spec.Containers[0].Env {
		environ[e.Name] = e.Value
	}
	settings, err := source.Parse(environ)
	require.NoError(t, err)
	theirs, err := config.Parse(
		map[string]string{"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_REDIS_URL": "redis://redis"},
	)
	require.NoError(t, err)
	require.Greater(t, settings.SinkTimeout, theirs.RequestTimeout)
	grace := time.Duration(*deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	require.Greater(t, grace, settings.RequestTimeout)

	var policy networkingv1.NetworkPolicy
	require.NoError(t, convert(find(t, objects, "NetworkPolicy", "stormfold-source").Object, &policy))
	require.Len(t, policy.Spec.Egress, 2)
	through := policy.Spec.Egress[1].To[0].NamespaceSelector.MatchExpressions[0].Values
	var theirPolicy networkingv1.NetworkPolicy
	require.NoError(t, convert(find(t, objects, "NetworkPolicy", "stormfold").Object, &theirPolicy))
	require.Equal(
		t,
		theirPolicy.Spec.Ingress[0].From[0].NamespaceSelector.MatchExpressions[0].Values,
		through,
		"the same way that the function is open to",
	)
}
