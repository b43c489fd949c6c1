package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// pods is how many processes of the function there are behind one address.
const pods = 4

// installation is all of Stormfold in one namespace.
type installation struct {
	t         *testing.T
	namespace string
	redis     *testbed.RedisServer
	functions []*testbed.Process
	starts    []func() *testbed.Process // Each starts one of the functions.
	urls      []string                  // Of each function.
	address   *testbed.Balancer         // In front of them.
	dead      *testbed.EventSink        // Where dead letters go.
	overlay   string                    // The directory of its kustomization.
}

// options say how an installation differs from deploy/.
type options struct {
	quiet      string   // The policy's quiet, 1h when empty.
	env        []string // Of the functions.
	components []string // Further directories of deploy/, kustomize components.
	patches    string   // Further entries of the kustomization's patches.
	manifests  string   // Further objects.
	bare       bool     // The function is brought by the test.
}

// policies have times that a test can wait for.
const policies = `
policies:
- name: quick
  groupBy: [namespace, alertname]
  threshold: 5
  window: %[1]s
  quiet: %[1]s
  cooldown: 1m
  flush: {min: 100ms, max: 1s}
`

// overlay is deploy/ in a namespace of its own. What differs is named by patches: deliveries are tried again after
// shorter times, and the function is a Service of Kubernetes, since there is no Knative Serving here.
const overlay = `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: %[1]s
resources:
- %[2]s/rbac
- %[2]s/eventing
- %[2]s/source
- further.yaml
components: [%[3]s]
patches:
- target: {kind: Broker, name: stormfold}
  patch: |-
    - {op: replace, path: /spec/delivery/retry, value: 40}
    - {op: replace, path: /spec/delivery/backoffPolicy, value: linear}
    - {op: replace, path: /spec/delivery/backoffDelay, value: PT0.1S}
- target: {kind: Trigger, name: stormfold}
  patch: |-
    - {op: replace, path: /spec/subscriber/ref, value: {apiVersion: v1, kind: Service, name: stormfold}}
`

// install starts an installation and returns when events get through.
func install(t *testing.T, o options) *installation {
	t.Helper()
	i := &installation{t: t, namespace: cluster.CreateNamespace(t, "e2e-"), dead: testbed.Sink(t), overlay: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			for _, d := range i.dead.Deliveries() {
				t.Logf("a dead letter: %s", d.Event)
			}
			eventing.LogOnFailure(t)
		}
	})
	i.redis = testbed.Redis(t)
	i.apply(o)
	i.awaitPermission()
	eventing.Serve(t, i.namespace, "stormfold-dead-letters", i.dead.URL)
	if !o.bare {
		i.startFunctions(o)
		i.serve(i.address.URL)
	}
	return i
}

// serve makes an address that of the function.
func (i *installation) serve(url string) {
	i.t.Helper()
	eventing.Serve(i.t, i.namespace, "stormfold", url)
	eventing.WaitBroker(i.t, i.namespace, "stormfold")
}

// apply applies the overlay.
func (i *installation) apply(o options) {
	t := i.t
	t.Helper()
	deploy, err := filepath.Abs(filepath.Join(root, "deploy"))
	require.NoError(t, err)
	// kustomize takes no absolute path, and goes by the real one.
	real, err := filepath.EvalSymlinks(i.overlay)
	require.NoError(t, err)
	if deploy, err = filepath.Rel(real, deploy); err != nil {
		t.Fatal(err)
	}
	var components []string
	for _, c := range o.components {
		components = append(components, filepath.Join(deploy, c))
	}
	write(t, filepath.Join(i.overlay, "kustomization.yaml"),
		fmt.Sprintf(overlay, i.namespace, deploy, strings.Join(components, ", "))+o.patches)
	write(t, filepath.Join(i.overlay, "further.yaml"), o.manifests)
	cluster.Apply(t, i.overlay)
}

// awaitPermission waits until the API server goes by the new Role: it reads it a moment after it is written. A function
// that comes earlier ends with an error, which in a pod only delays it.
func (i *installation) awaitPermission() {
	i.t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + i.namespace + ":stormfold",
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: i.namespace, Group: v1alpha1.SchemeGroupVersion.Group, Resource: "incidents", Verb: "list",
		},
	}}
	testbed.Eventually(i.t, time.Minute, "the function's permissions", func(ctx context.Context) error {
		answer, err := cluster.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil && !answer.Status.Allowed {
			err = errors.New("not allowed")
		}
		return err
	})
}

// startFunctions starts the function's processes under the ServiceAccount of deploy/rbac.
func (i *installation) startFunctions(o options) {
	t := i.t
	t.Helper()
	quiet := o.quiet
	if quiet == "" {
		quiet = "1h"
	}
	path := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, path, fmt.Sprintf(policies, quiet))
	kubeconfig := cluster.ServiceAccountKubeconfig(t, i.namespace, "stormfold")
	for n := range pods {
		listen := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
		env := append([]string{
			"LISTEN_ADDRESS=" + listen, "STORMFOLD_METRICS_ADDRESS=off", "STORMFOLD_REDIS_URL=" + i.redis.URL,
			"STORMFOLD_NAMESPACE=" + i.namespace, "KUBECONFIG=" + kubeconfig, "STORMFOLD_POLICIES=" + path,
		}, o.env...)
		name := fmt.Sprintf("stormfold-%d", n)
		start := func() *testbed.Process {
			process := testbed.Start(t, name, env, functionBinary)
			t.Cleanup(func() { noRace(t, process) })
			return process
		}
		i.starts, i.functions = append(i.starts, start), append(i.functions, start())
		i.urls = append(i.urls, "http://"+listen)
	}
	i.address = testbed.Balance(t, i.urls...)
	i.awaitFunctions()
}

// restart kills what runs of the functions and starts them all again.
func (i *installation) restart() {
	i.t.Helper()
	for n, start := range i.starts {
		require.NoError(i.t, i.functions[n].Kill())
		i.functions[n] = start()
	}
	i.awaitFunctions()
}

func (i *installation) awaitFunctions() {
	i.t.Helper()
	for n, url := range i.urls {
		awaitReady(i.t, i.functions[n], url+"/health/readiness")
	}
}

// startSource runs the source as deploy/source has it, with the sink that the SinkBinding gave it, on an address.
func (i *installation) startSource(listen string) {
	t := i.t
	t.Helper()
	eventing.WaitSinkBinding(t, i.namespace, "stormfold-source")
	process := eventing.RunDeployment(t, i.namespace, "stormfold-source", sourceBinary,
		"STORMFOLD_SOURCE_ADDRESS="+listen, "STORMFOLD_SOURCE_METRICS_ADDRESS=off")
	t.Cleanup(func() { noRace(t, process) })
	awaitReady(t, process, "http://"+listen+"/healthz")
}

// broker is where a test sends an event by itself.
func (i *installation) broker() string { return eventing.BrokerURL(i.namespace, "stormfold") }

// await waits until the incidents are as check says, and returns them.
func (i *installation) await(what string, check func([]v1alpha1.Incident) error) []v1alpha1.Incident {
	i.t.Helper()
	var items []v1alpha1.Incident
	testbed.Eventually(i.t, 90*time.Second, what, func(ctx context.Context) error {
		list, err := incidents.List(ctx, i.namespace, metav1.ListOptions{})
		if err != nil {
			return err
		}
		items = list.Items
		if err := check(items); err != nil {
			return fmt.Errorf("%w: %s", err, summary(items))
		}
		return nil
	})
	return items
}

// awaitStorm waits until there is one storm with these counts, and beside it nothing but what it has absorbed.
func (i *installation) awaitStorm(total, firing, resolved int32) v1alpha1.Incident {
	i.t.Helper()
	want := v1alpha1.AlertCounts{Total: total, Firing: firing, Resolved: resolved}
	var storm v1alpha1.Incident
	i.await(fmt.Sprintf("one storm of %+v", want), func(items []v1alpha1.Incident) error {
		var left []v1alpha1.Incident
		for _, item := range items {
			if item.Status.State != v1alpha1.StateAbsorbed {
				left = append(left, item)
			}
		}
		if len(left) != 1 || left[0].Status.Type != v1alpha1.TypeStorm || left[0].Status.Alerts != want {
			return errors.New("there are other incidents")
		}
		storm = left[0]
		return nil
	})
	return storm
}

func summary(items []v1alpha1.Incident) string {
	out := fmt.Sprintf("%d:", len(items))
	for _, i := range items {
		out += fmt.Sprintf(" [%s %s %s %+v]", i.Name, i.Status.Type, i.Status.State, i.Status.Alerts)
	}
	return out
}

// awaitReady waits until a process answers a GET by 200.
func awaitReady(t *testing.T, process *testbed.Process, url string) {
	t.Helper()
	testbed.Eventually(t, time.Minute, url, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if !process.Running() {
			t.Fatalf("%s: the process has ended", url)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", response.Status)
		}
		return nil
	})
}

// noRace fails the test when a process that was built with the race detector has found a race.
func noRace(t *testing.T, process *testbed.Process) {
	t.Helper()
	log, err := process.Log()
	if err != nil || strings.Contains(log, "DATA RACE") {
		t.Errorf("a data race, or no log (%v):\n%s", err, log)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}
