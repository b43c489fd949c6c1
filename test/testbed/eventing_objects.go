package testbed

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds of Knative Eventing that this package looks at.
var (
	brokers  = schema.GroupVersionResource{Group: "eventing.knative.dev", Version: "v1", Resource: "brokers"}
	triggers = schema.GroupVersionResource{Group: "eventing.knative.dev", Version: "v1", Resource: "triggers"}
	channels = schema.GroupVersionResource{
		Group:    "messaging.knative.dev",
		Version:  "v1",
		Resource: "inmemorychannels",
	}
	pingSources      = schema.GroupVersionResource{Group: "sources.knative.dev", Version: "v1", Resource: "pingsources"}
	sinkBindings     = schema.GroupVersionResource{Group: "sources.knative.dev", Version: "v1", Resource: "sinkbindings"}
	apiServerSources = schema.GroupVersionResource{
		Group:    "sources.knative.dev",
		Version:  "v1",
		Resource: "apiserversources",
	}
)

// examples are a least object of each kind that has webhooks of its own.
var examples = map[schema.GroupVersionResource]map[string]any{
	brokers:  {"kind": "Broker"},
	channels: {"kind": "InMemoryChannel"},
	pingSources: {"kind": "PingSource", "spec": map[string]any{
		"sink": map[string]any{"uri": "http://127.0.0.1"},
	}},
}

// tryCreate asks for an object without making it.
func (e *EventingServer) tryCreate(ctx context.Context, kind schema.GroupVersionResource) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.GroupVersion().String(), "metadata": map[string]any{"name": "stormfold-testbed"},
	}}
	for key, value := range examples[kind] {
		object.Object[key] = value
	}
	_, err := e.objects.Resource(kind).Namespace(metav1.NamespaceDefault).
		Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// WaitBroker waits until a broker and all its Triggers deliver. A Trigger's own condition does not say that: it turns
// Ready for the first time before the broker's channel has it as a subscriber, and an event that comes in between is
// accepted and lost.
func (e *EventingServer) WaitBroker(t testing.TB, namespace, name string) {
	t.Helper()
	Eventually(t, time.Minute, "broker "+namespace+"/"+name, func(ctx context.Context) error {
		broker, err := e.objects.Resource(brokers).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := isReady(broker); err != nil {
			return err
		}
		list, err := e.objects.Resource(triggers).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		want := 0
		for _, trigger := range list.Items {
			if of, _, _ := unstructured.NestedString(trigger.Object, "spec", "broker"); of != name {
				continue
			}
			want++
			if err := isReady(&trigger); err != nil {
				return err
			}
		}
		channel, err := e.objects.Resource(channels).Namespace(namespace).Get(ctx, name+"-kne-trigger", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := isReady(channel); err != nil {
			return err
		}
		subscribers, _, err := unstructured.NestedSlice(channel.Object, "status", "subscribers")
		if err != nil {
			return err
		}
		ready := 0
		for _, subscriber := range subscribers {
			if s, ok := subscriber.(map[string]any); ok && s["ready"] == "True" {
				ready++
			}
		}
		if ready != want {
			return fmt.Errorf("%d of %d Triggers are subscribed", ready, want)
		}
		return nil
	})
}

// WaitPingSource waits until a PingSource has its adapter.
func (e *EventingServer) WaitPingSource(t testing.TB, namespace, name string) {
	t.Helper()
	e.waitReady(t, pingSources, namespace, name)
}

// WaitSinkBinding waits until the subject of a SinkBinding knows its sink.
func (e *EventingServer) WaitSinkBinding(t testing.TB, namespace, name string) {
	t.Helper()
	e.waitReady(t, sinkBindings, namespace, name)
}

// BrokerURL is a broker's address for processes of this machine, with nothing to set for it. What Knative itself hands
// out is SinkURL.
func (e *EventingServer) BrokerURL(namespace, name string) string {
	return "http://" + e.ingress + "/" + url.PathEscape(namespace) + "/" + url.PathEscape(name)
}

// SinkURL is the address that a broker has in its status, which is what a source gets as its K_SINK. Only a process
// with Env can reach it.
func (e *EventingServer) SinkURL(t testing.TB, namespace, name string) string {
	t.Helper()
	var address string
	Eventually(t, time.Minute, "the address of broker "+namespace+"/"+name, func(ctx context.Context) error {
		broker, err := e.objects.Resource(brokers).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if address, _, err = unstructured.NestedString(broker.Object, "status", "address", "url"); err == nil &&
			address == "" {
			err = fmt.Errorf("it has none")
		}
		return err
	})
	return address
}

func (e *EventingServer) waitReady(t testing.TB, kind schema.GroupVersionResource, namespace, name string) {
	t.Helper()
	Eventually(t, time.Minute, kind.Resource+" "+namespace+"/"+name, func(ctx context.Context) error {
		object, err := e.objects.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return isReady(object)
	})
}

// isReady reports as an error when the condition Ready does not hold for the newest version of an object.
func isReady(object *unstructured.Unstructured) error {
	name := object.GetKind() + " " + object.GetName()
	if seen, _, _ := unstructured.NestedInt64(object.Object, "status",
		"observedGeneration"); seen != object.GetGeneration() {
		return fmt.Errorf("%s: its controller has not seen it", name)
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, condition := range conditions {
		if c, ok := condition.(map[string]any); ok && c["type"] == "Ready" {
			if c["status"] == "True" {
				return nil
			}
			return fmt.Errorf("%s: not ready: %v %v", name, c["reason"], c["message"])
		}
	}
	return fmt.Errorf("%s: no condition Ready", name)
}
