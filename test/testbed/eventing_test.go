package testbed_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestEventing: an event goes through a real broker and is delivered again while its subscriber refuses it; when that
// does not end, it is a dead letter that says why. One that no Trigger is for goes nowhere.
func TestEventing(t *testing.T) {
	t.Parallel()
	cluster := testbed.ControlPlane(t)
	start := time.Now()
	eventing := testbed.Eventing(t, cluster)
	t.Logf("ready after %s", time.Since(start).Round(time.Millisecond))

	slow, broken, dead := testbed.Sink(t, 503, 503, 200), testbed.Sink(t, 503), testbed.Sink(t)
	namespace := cluster.CreateNamespace(t, "mesh-")
	trigger := func(name string, sink *testbed.EventSink) string {
		return fmt.Sprintf(`---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  broker: main
  filter: {attributes: {type: test.%[1]s}}
  subscriber: {uri: %[3]s}
  delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT0.05S, deadLetterSink: {uri: %[4]s}}
`, name, namespace, sink.URL, dead.URL)
	}
	_, err := cluster.RunKubectl(t.Context(), fmt.Sprintf(
		"apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: main, namespace: %s}\n", namespace)+
		trigger("slow", slow)+trigger("broken", broken), "apply", "--filename=-")
	require.NoError(t, err)
	eventing.WaitBroker(t, namespace, "main")

	for _, name := range []string{"nobody", "slow", "broken"} {
		event := cloudevents.NewEvent()
		event.SetID(name)
		event.SetType("test." + name)
		event.SetSource("/test")
		require.NoError(t, event.SetData(cloudevents.ApplicationJSON, map[string]string{"name": name}))
		request, err := cloudevents.NewHTTPRequestFromEvent(t.Context(), eventing.BrokerURL(namespace, "main"), event)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusAccepted, response.StatusCode)
	}
	slow.Wait(t, "the third delivery", func(e cloudevents.Event) bool { return e.ID() == "slow" })
	letter := dead.Wait(t, "the dead letter", func(e cloudevents.Event) bool { return e.ID() == "broken" })
	assert.EqualValues(t, "503", letter.Extensions()["knativeerrorcode"])
	assert.JSONEq(t, `{"name": "broken"}`, string(letter.Data()))
	assert.Len(t, slow.Deliveries(), 3)
	assert.Len(t, broken.Deliveries(), 4)
	assert.Len(t, dead.Deliveries(), 1)
}
