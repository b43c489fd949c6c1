package deploy

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// people are the permissions that no code of ours uses, role by role, and who does.
var people = map[string]struct {
	who     string
	allowed []permission
}{
	"stormfold-kubernetes-events": {
		"the adapter of Knative's ApiServerSource lists and watches, and its controller asks for all three before it starts it",
		[]permission{{"", "events", "get"}, {"", "events", "list"}, {"", "events", "watch"}},
	},
	"stormfold-source-lookups": {
		"the source's informers list and watch pods and nodes, and the objects between a pod and its workload",
		[]permission{
			{"", "pods", "get"}, {"", "pods", "list"}, {"", "pods", "watch"},
			{"", "nodes", "get"}, {"", "nodes", "list"}, {"", "nodes", "watch"},
			{"apps", "replicasets", "get"}, {"apps", "replicasets", "list"}, {"apps", "replicasets", "watch"},
			{"batch", "jobs", "get"}, {"batch", "jobs", "list"}, {"batch", "jobs", "watch"},
		},
	},
	"stormfold-incidents-view": {
		"people who may view a namespace",
		[]permission{
			{"stormfold.io", "incidents", "get"},
			{"stormfold.io", "incidents", "list"},
			{"stormfold.io", "incidents", "watch"},
		},
	},
	"stormfold-incidents-edit": {
		"people who may edit a namespace: labels of their own, and tidying up",
		[]permission{
			{"stormfold.io", "incidents", "update"}, {"stormfold.io", "incidents", "patch"},
			{"stormfold.io", "incidents", "delete"}, {"stormfold.io", "incidents", "deletecollection"},
		},
	},
}

// functions are the roles of the function's ServiceAccount.
var functions = []string{"stormfold", "stormfold-all-namespaces"}

// asks is an API server that remembers what the projector says it needs.
type asks struct {
	projector.Incidents
	needed []permission
}

func (a *asks) List(context.Context, string, metav1.ListOptions) (*v1alpha1.IncidentList, error) {
	return &v1alpha1.IncidentList{}, nil
}

func (a *asks) Allowed(_ context.Context, _, verb, subresource string) (bool, error) {
	resource := "incidents"
	if subresource != "" {
		resource += "/" + subresource
	}
	a.needed = append(a.needed, permission{"stormfold.io", resource, verb})
	return true, nil
}

// needed is what the function looks for at its start: all that the projector does, and a test of the projector holds
// that.
func needed(t *testing.T) []permission {
	t.Helper()
	a := &asks{}
	p := projector.New(projector.Options{Incidents: a, Timeout: time.Second})
	require.NoError(t, p.Check(t.Context(), "stormfold"))
	require.NotEmpty(t, a.needed)
	return a.needed
}

// checkRole returns what a role allows too much or too little.
func checkRole(o unstructured.Unstructured, function []permission) ([]string, error) {
	has, err := permissions(o)
	if err != nil || has == nil {
		return nil, err
	}
	want := people[o.GetName()].allowed
	if slices.Contains(functions, o.GetName()) {
		want = function
	}
	var wrong []string
	for _, p := range has {
		if !slices.Contains(want, p) {
			wrong = append(wrong, fmt.Sprintf("%s %s: nothing uses %q", o.GetKind(), o.GetName(), p))
		}
	}
	for _, p := range want {
		if !slices.Contains(has, p) {
			wrong = append(wrong, fmt.Sprintf("%s %s: %q is missing", o.GetKind(), o.GetName(), p))
		}
	}
	return wrong, nil
}

func TestRolesAllowWhatIsUsed(t *testing.T) {
	function := needed(t)
	seen := map[string]bool{}
	for piece, dir := range pieces(t) {
		for _, o := range render(t, dir) {
			wrong, err := checkRole(o, function)
			require.NoError(t, err)
			require.Empty(t, wrong, piece)
			if o.GetKind() == "Role" || o.GetKind() == "ClusterRole" {
				seen[o.GetName()] = true
			}
		}
	}
	for _, name := range functions {
		require.True(t, seen[name], name)
	}
	for name := range people {
		require.True(t, seen[name], "%s is gone, and its line in people can go too", name)
	}
}

func TestRulesOfRolesCanFail(t *testing.T) {
	function := needed(t)
	for says, role := range map[string]string{
		`nothing uses "watch incidents.stormfold.io"`:        `{"name": "stormfold", "groups": ["stormfold.io"], "resources": ["incidents"], "verbs": ["watch"]}`,
		`nothing uses "patch incidents/status.stormfold.io"`: `{"name": "stormfold", "groups": ["stormfold.io"], "resources": ["incidents/status"], "verbs": ["patch"]}`,
		`nothing uses "get secrets"`:                         `{"name": "stormfold-kubernetes-events", "groups": [""], "resources": ["secrets"], "verbs": ["get"]}`,
		`nothing uses "* incidents.stormfold.io"`:            `{"name": "stormfold-all-namespaces", "groups": ["stormfold.io"], "resources": ["incidents"], "verbs": ["*"]}`,
		`ClusterRole unknown: nothing uses "get nodes"`:      `{"name": "unknown", "groups": [""], "resources": ["nodes"], "verbs": ["get"]}`,
		`"update incidents/status.stormfold.io" is missing`:  `{"name": "stormfold", "groups": ["stormfold.io"], "resources": ["incidents"], "verbs": ["get"]}`,
	} {
		objects, err := decode(role)
		require.NoError(t, err)
		planted := objects[0].Object
		o := unstructured.Unstructured{Object: map[string]any{
			"kind": "ClusterRole", "metadata": map[string]any{"name": planted["name"]},
			"rules": []any{
				map[string]any{"apiGroups": planted["groups"], "resources": planted["resources"], "verbs": planted["verbs"]},
			},
		}}
		wrong, err := checkRole(o, function)
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(wrong), says)
	}
}
