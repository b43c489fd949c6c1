package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// send posts an event to the broker and expects it to be taken.
func (i *installation) send(id, eventType string, data any) {
	i.t.Helper()
	event := cloudevents.NewEvent()
	event.SetID(id)
	event.SetType(eventType)
	event.SetSource("/e2e")
	event.SetTime(time.Now())
	require.NoError(i.t, event.SetData(cloudevents.ApplicationJSON, data))
	request, err := cloudevents.NewHTTPRequestFromEvent(i.t.Context(), i.broker(), event)
	require.NoError(i.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(i.t, err)
	require.NoError(i.t, response.Body.Close())
	require.Equal(i.t, http.StatusAccepted, response.StatusCode)
}

// TestPoison: an event that no retry can help is tried once and becomes a dead letter, which says why; those around it
// arrive.
func TestPoison(t *testing.T) {
	t.Parallel()
	i := install(t, options{})
	const eventType = "io.prometheus.alertmanager.alert.v1"
	alert := func(pod, status string) map[string]any {
		return map[string]any{
			"status": status, "labels": map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": pod},
			"startsAt": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339),
		}
	}
	for n := range 5 {
		i.send(fmt.Sprintf("before-%d", n), eventType, alert(fmt.Sprintf("web-%d", n), "firing"))
	}
	i.send("poison", eventType, alert("web-5", "on fire"))
	for n := range 5 {
		i.send(fmt.Sprintf("after-%d", n), eventType, alert(fmt.Sprintf("web-%d", 6+n), "firing"))
	}

	letter := i.dead.Wait(t, "the dead letter", func(e cloudevents.Event) bool { return e.ID() == "poison" })
	assert.Equal(t, eventType, letter.Type())
	assert.EqualValues(t, "400", letter.Extensions()["knativeerrorcode"])
	encoded, ok := letter.Extensions()["knativeerrordata"].(string)
	require.True(t, ok, "%v", letter.Extensions())
	reason, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	assert.Contains(t, string(reason), `status: "on fire"`)
	i.awaitStorm(10, 10, 0)
	assert.Len(t, i.dead.Deliveries(), 1)
}

// away is how long the function is gone.
const away = 20 * time.Second

// TestFunctionAway: all processes of the function are killed while alerts come in, and are back after a while: the
// broker delivers again, and nothing is lost.
func TestFunctionAway(t *testing.T) {
	t.Parallel()
	alertmanagers := startPair(t)
	i := install(t, options{})
	alertmanagers.join(i)
	started := time.Now()
	batch := func(from, n int) alerts { return alerts{name: "PodDown", from: from, n: n, started: started} }
	alertmanagers.fire(batch(0, 20))
	i.awaitStorm(20, 20, 0)

	for _, process := range i.functions {
		require.NoError(t, process.Kill())
	}
	gone := time.Now()
	for n := range 4 {
		unreached := i.address.Unreached()
		alertmanagers.fire(batch(20+n*20, 20))
		testbed.Eventually(t, time.Minute, "a failed delivery", func(context.Context) error {
			if i.address.Unreached() == unreached {
				return fmt.Errorf("none so far")
			}
			return nil
		})
	}
	testbed.Eventually(t, 2*away, "the end of the absence", func(context.Context) error {
		if left := away - time.Since(gone); left > 0 {
			return fmt.Errorf("%s to go", left)
		}
		return nil
	})
	i.restart()
	i.awaitStorm(100, 100, 0)
	assert.Empty(t, i.dead.Deliveries())
}
