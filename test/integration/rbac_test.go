package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

const (
	incidentsPath = "/apis/stormfold.io/v1alpha1/namespaces/stormfold/incidents"
	crdPath       = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
)

// TestServiceAccountMay does, with the token of the ServiceAccount in deploy/, all that the function does.
func TestServiceAccountMay(t *testing.T) {
	config := cluster.ServiceAccountConfig(t, "stormfold", "stormfold")
	client, err := projector.NewClient(config, 10*time.Second, 100, 100)
	require.NoError(t, err)
	ctx := t.Context()

	created, err := client.Create(ctx, newIncident("service-account-may"))
	require.NoError(t, err)
	created.Status.State, created.Status.Type = v1alpha1.StateFiring, v1alpha1.TypeAlert
	updated, err := client.UpdateStatus(ctx, created)
	require.NoError(t, err)
	got, err := client.Get(ctx, "stormfold", created.Name)
	require.NoError(t, err)
	require.Equal(t, updated, got)
	list, err := client.List(ctx, "stormfold", metav1.ListOptions{FieldSelector: "metadata.name=" + created.Name})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.NoError(t, client.Delete(ctx, "stormfold", created.Name, metav1.Preconditions{}))
	_, err = client.Get(ctx, "stormfold", created.Name)
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}

// TestServiceAccountMayNot tries what a stolen token would be good for.
func TestServiceAccountMayNot(t *testing.T) {
	other := cluster.CreateNamespace(t, "other-")
	theirs := newIncident("theirs")
	theirs.Namespace = other
	_, err := incidents.Create(t.Context(), theirs)
	require.NoError(t, err)
	ours, err := incidents.Create(t.Context(), newIncident("service-account-may-not"))
	require.NoError(t, err)
	_, err = cluster.Client.CoreV1().Secrets("stormfold").Create(t.Context(),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "not-for-the-function-"}}, metav1.CreateOptions{})
	require.NoError(t, err)

	config := rest.CopyConfig(cluster.ServiceAccountConfig(t, "stormfold", "stormfold"))
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)

	core := "/api/v1/namespaces/stormfold"
	otherPath := strings.Replace(incidentsPath, "/stormfold/", "/"+other+"/", 1)
	one := incidentsPath + "/" + ours.Name
	cases := []struct {
		verb, path string
		watch      bool
	}{
		// What a function has no business with.
		{verb: "GET", path: core + "/secrets"},
		{verb: "GET", path: core + "/secrets/stormfold-redis"},
		{verb: "POST", path: core + "/secrets"},
		{verb: "GET", path: core + "/configmaps"},
		{verb: "POST", path: core + "/configmaps"},
		{verb: "GET", path: core + "/pods"},
		{verb: "POST", path: core + "/pods"},
		{verb: "DELETE", path: core + "/pods/web-0"},
		{verb: "GET", path: core + "/events"},
		{verb: "POST", path: core + "/serviceaccounts/stormfold/token"},
		{verb: "GET", path: "/api/v1/secrets"},
		{verb: "GET", path: "/api/v1/nodes"},
		{verb: "GET", path: "/api/v1/namespaces"},
		{verb: "GET", path: "/apis/apps/v1/namespaces/stormfold/deployments"},
		{verb: "GET", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/stormfold/roles"},
		{verb: "PUT", path: "/apis/rbac.authorization.k8s.io/v1/namespaces/stormfold/roles/stormfold"},
		// Incidents, beyond what it needs.
		{verb: "PUT", path: one},
		{verb: "PATCH", path: one},
		{verb: "PATCH", path: one + "/status"},
		{verb: "GET", path: one + "/status"},
		{verb: "GET", path: incidentsPath, watch: true},
		{verb: "DELETE", path: incidentsPath},
		// Incidents elsewhere.
		{verb: "GET", path: "/apis/stormfold.io/v1alpha1/incidents"},
		{verb: "GET", path: otherPath},
		{verb: "POST", path: otherPath},
		{verb: "GET", path: otherPath + "/" + theirs.Name},
		{verb: "DELETE", path: otherPath + "/" + theirs.Name},
		{verb: "PUT", path: otherPath + "/" + theirs.Name + "/status"},
		// The definition.
		{verb: "GET", path: crdPath},
		{verb: "GET", path: crdPath + "/incidents.stormfold.io"},
		{verb: "POST", path: crdPath},
		{verb: "PUT", path: crdPath + "/incidents.stormfold.io"},
		{verb: "PATCH", path: crdPath + "/incidents.stormfold.io"},
		{verb: "DELETE", path: crdPath + "/incidents.stormfold.io"},
	}
	for _, c := range cases {
		name := c.verb + " " + c.path
		if c.watch {
			name = "WATCH " + c.path
		}
		t.Run(name, func(t *testing.T) {
			request := client.RESTClient().Verb(c.verb).AbsPath(c.path)
			switch {
			case c.watch:
				request.Param("watch", "1").Param("timeoutSeconds", "1")
			case c.verb == http.MethodPatch:
				request.SetHeader("Content-Type", string(types.MergePatchType)).Body([]byte(`{}`))
			case c.verb == http.MethodPost || c.verb == http.MethodPut:
				request.SetHeader("Content-Type", "application/json").Body([]byte(`{}`))
			}
			code := 0
			err := request.Do(t.Context()).StatusCode(&code).Error()
			require.Equal(t, http.StatusForbidden, code, "%v", err)
		})
	}

	still, err := incidents.Get(t.Context(), "stormfold", ours.Name)
	require.NoError(t, err)
	require.Equal(t, ours.ResourceVersion, still.ResourceVersion)
}

// TestSpecNeverChanges: not even an administrator changes what an incident is about.
func TestSpecNeverChanges(t *testing.T) {
	i, err := incidents.Create(t.Context(), newIncident("spec-never-changes"))
	require.NoError(t, err)
	for _, patch := range []string{
		`{"spec":{"alertName":"Other"}}`,
		`{"spec":{"policy":"other"}}`,
		`{"spec":{"groupLabels":{"alertname":"Other"}}}`,
		`{"spec":{"groupLabels":null}}`,
	} {
		_, err := cluster.RunKubectl(t.Context(), "", "patch", "inc", i.Name, "-n", "stormfold", "--type=merge", "-p", patch)
		require.ErrorContains(t, err, "spec is immutable", patch)
	}
	// What a status write says about the spec does not count.
	changed := i.DeepCopy()
	changed.Spec.AlertName, changed.Status.State = "Other", v1alpha1.StateFiring
	_, err = incidents.UpdateStatus(t.Context(), changed)
	require.NoError(t, err)
	updated, err := incidents.Get(t.Context(), i.Namespace, i.Name)
	require.NoError(t, err)
	require.Equal(t, i.Spec, updated.Spec)
	require.Equal(t, v1alpha1.StateFiring, updated.Status.State)
	// A label of one's own is no part of it.
	cluster.Kubectl(t, "label", "inc", i.Name, "-n", "stormfold", "team=shop")
}

// TestKubectl is what a person at a terminal does.
func TestKubectl(t *testing.T) {
	s := newScene(t, startPod(t))
	s.notify(append(s.pods("PodDown", 6, "firing"), s.alert("DiskFull", "db-0", "firing", "severity", "warning"))...)
	items := s.await(func(items []v1alpha1.Incident) error {
		if len(items) != 2 || items[0].Status.State == "" || items[1].Status.State == "" {
			return fmt.Errorf("want 2 incidents, have %s", summary(items))
		}
		return nil
	})
	byAlert := map[string]v1alpha1.Incident{}
	for _, i := range items {
		byAlert[i.Spec.AlertName] = i
	}
	storm, single := byAlert["PodDown"].Name, byAlert["DiskFull"].Name
	mine := []string{"-n", "stormfold", "-l", v1alpha1.LabelAlertNamespace + "=" + s.namespace}
	get := func(args ...string) string {
		return cluster.Kubectl(t, append(append([]string{"get"}, mine...), args...)...)
	}

	t.Run("columns", func(t *testing.T) {
		for _, kind := range []string{"inc", "incidents", "incident.stormfold.io", "stormfold"} {
			lines := strings.Split(strings.TrimSpace(get(kind)), "\n")
			require.Len(t, lines, 3, kind)
			require.Equal(t, []string{"NAME", "TYPE", "STATE", "SEVERITY", "FIRING", "TOTAL", "SINCE", "SUBJECT"},
				strings.Fields(lines[0]))
			for _, line := range lines[1:] {
				fields := strings.Fields(line)
				want := []string{storm, "Storm", "Firing", "critical", "6", "6"}
				if fields[1] == "Alert" {
					want = []string{single, "Alert", "Firing", "warning", "1", "1"}
				}
				require.Equal(t, want, fields[:6])
				require.Len(t, fields, 8, line)
				require.Contains(t, fields[7], s.namespace)
			}
		}
	})

	t.Run("field selectors", func(t *testing.T) {
		for selector, want := range map[string]string{
			"status.type=Storm": storm, "status.type!=Storm": single, "status.severity=critical": storm,
			"status.severity=warning":               single,
			"status.state=Firing,status.type=Alert": single, "status.state=Resolved": "",
		} {
			names := strings.Fields(get("inc", "--field-selector", selector, "-o", "name"))
			if want == "" {
				require.Empty(t, names, selector)
				continue
			}
			require.Equal(t, []string{"incident.stormfold.io/" + want}, names, selector)
		}
	})

	t.Run("wait for the end", func(t *testing.T) {
		wait := []string{"wait", "-n", "stormfold", "inc/" + storm, "--for=condition=Resolved"}
		_, err := cluster.RunKubectl(t.Context(), "", append(wait, "--timeout=500ms")...)
		require.ErrorContains(t, err, "timed out waiting for the condition")
		cluster.Kubectl(t, "wait", "-n", "stormfold", "inc/"+storm, "--for=condition=Storm", "--timeout=5s")
		waited := make(chan error, 1)
		go func() {
			_, err := cluster.RunKubectl(t.Context(), "", append(wait, "--timeout=30s")...)
			waited <- err
		}()
		s.notify(s.pods("PodDown", 6, "resolved")...)
		require.NoError(t, <-waited)
		require.Equal(
			t,
			storm,
			strings.TrimSpace(get("inc", "--field-selector=status.state=Resolved", "-o", "jsonpath={.items[*].metadata.name}")),
		)
	})

	t.Run("explain", func(t *testing.T) {
		require.Contains(t, cluster.Kubectl(t, "explain", "incidents.status.observedRevision"), "It never decreases")
	})
}

// newIncident is one that a test makes without a function.
func newIncident(name string) *v1alpha1.Incident {
	return &v1alpha1.Incident{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "stormfold"},
		Spec: v1alpha1.IncidentSpec{
			Policy: "default", AlertName: "PodDown", GroupLabels: map[string]string{"alertname": "PodDown"},
		},
	}
}
