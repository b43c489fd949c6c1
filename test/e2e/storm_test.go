package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// listener is a Trigger of someone who wants to know of storms.
const listener = `
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: storms}
spec:
  broker: stormfold
  filter: {attributes: {type: io.stormfold.incident.storm.v1}}
  subscriber: {uri: %s}
`

// TestStorm: fifteen alerts, then five hundred, then the end of them: one incident throughout, with exact counts, and
// one event about it for a subscriber.
func TestStorm(t *testing.T) {
	t.Parallel()
	alertmanagers, told := startPair(t), testbed.Sink(t)
	i := install(t, options{manifests: fmt.Sprintf(listener, told.URL)})
	alertmanagers.join(i)
	all := alerts{name: "PodDown", n: 15, started: time.Now()}

	alertmanagers.fire(all)
	name := i.awaitStorm(15, 15, 0).Name
	storm := told.Wait(
		t,
		"the reply",
		func(e cloudevents.Event) bool { return e.Type() == "io.stormfold.incident.storm.v1" },
	)
	assert.Equal(t, name, storm.Subject())
	assert.Equal(t, "/stormfold/"+i.namespace, storm.Source())

	all.n = 500
	alertmanagers.fire(all)
	assert.Equal(t, name, i.awaitStorm(500, 500, 0).Name)

	alertmanagers.resolve(all)
	over := i.awaitStorm(500, 0, 500)
	assert.Equal(t, name, over.Name)
	i.await("nothing beside the one object", func(items []v1alpha1.Incident) error {
		if len(items) != 1 {
			return errors.New("there is more")
		}
		return nil
	})
	assert.Equal(t, v1alpha1.StateResolved, over.Status.State)
	condition := meta.FindStatusCondition(over.Status.Conditions, v1alpha1.ConditionResolved)
	require.NotNil(t, condition)
	assert.Equal(t, "AllResolved", condition.Reason)
	for _, d := range told.Deliveries() {
		assert.Equal(t, storm.ID(), d.Event.ID(), "one storm, told once, and nothing else: %s", d.Event)
	}
	assert.Empty(t, i.dead.Deliveries())
}
