package events_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/events"
	"github.com/stormfold/stormfold/handlers"
)

// schemas are the files of this directory, ready to validate.
func schemas(t *testing.T) map[string]*jsonschema.Resolved {
	t.Helper()
	files, err := filepath.Glob("*.schema.json")
	require.NoError(t, err)
	require.Len(t, files, len(events.Schemas()), "every file is embedded")
	resolved := map[string]*jsonschema.Resolved{}
	for eventType, raw := range events.Schemas() {
		name := strings.TrimPrefix(eventType, "io.stormfold.incident.") + ".schema.json"
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(content), string(raw))
		var schema jsonschema.Schema
		require.NoError(t, json.Unmarshal(raw, &schema))
		require.Contains(t, schema.ID, name)
		require.Contains(t, schema.Title, eventType)
		resolved[eventType], err = schema.Resolve(nil)
		require.NoError(t, err)
	}
	return resolved
}

// sent is the reply to an event that brought a transition about, as the function sends it.
func sent(t *testing.T, kind aggregator.TransitionType, reason string) *event.Event {
	t.Helper()
	in := event.New()
	in.SetID("1")
	in.SetType(handlers.TypeNotification)
	in.SetSource("/test")
	out := handlers.Reply("/stormfold/ops", in, time.Date(2026, 3, 1, 10, 16, 0, 0, time.UTC), []aggregator.Transition{{
		Type: kind, Incident: "kube-pod-crash-looping-lnqbpcklvf", Namespace: "ops", Group: "0123456789abcdef",
		Policy:    "default",
		AlertName: "KubePodCrashLooping", Revision: 1772360160987, Total: 15, Firing: 14, Reason: reason,
	}})
	require.NotNil(t, out)
	require.NoError(t, out.Validate())
	return out
}

// replies are all that the function tells.
func replies(t *testing.T) []*event.Event {
	return []*event.Event{
		sent(t, aggregator.Opened, ""), sent(t, aggregator.Reopened, ""), sent(t, aggregator.Stormed, ""),
		sent(
			t,
			aggregator.Closed,
			"AllResolved",
		), sent(t, aggregator.Closed, "Quiet"), sent(t, aggregator.Closed, "MaxDuration"),
	}
}

func TestRepliesMatchTheirSchemas(t *testing.T) {
	schemas, told := schemas(t), map[string]bool{}
	for _, out := range replies(t) {
		var data any
		require.NoError(t, out.DataAs(&data))
		require.Contains(t, schemas, out.Type())
		require.NoError(t, schemas[out.Type()].Validate(data), out.Type())
		told[out.Type()] = true

		var typed events.Incident
		decoder := json.NewDecoder(strings.NewReader(string(out.Data())))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&typed))
		require.Equal(
			t,
			events.Reference{APIVersion: "stormfold.io/v1alpha1", Kind: "Incident", Namespace: "ops", Name: out.Subject()},
			typed.Incident,
		)
		require.Equal(t, events.Counts{Total: 15, Firing: 14}, typed.Alerts)
	}
	require.Len(t, told, len(schemas))
}

// TestSchemasNameEveryField: the schemas and the Go types have the same fields, and what is not empty is required.
func TestSchemasNameEveryField(t *testing.T) {
	var every []string
	for field := range reflect.TypeFor[events.Incident]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		every = append(every, name)
	}
	for eventType, raw := range events.Schemas() {
		var schema jsonschema.Schema
		require.NoError(t, json.Unmarshal(raw, &schema))
		want := slices.Clone(every)
		if eventType != events.TypeResolved {
			want = slices.DeleteFunc(want, func(name string) bool { return name == "reason" })
		}
		require.ElementsMatch(t, want, slices.Collect(maps.Keys(schema.Properties)), eventType)
		require.ElementsMatch(t, want, schema.Required, eventType)
	}
	kinds := map[aggregator.TransitionType]string{
		aggregator.Opened: events.Opened, aggregator.Reopened: events.Reopened, aggregator.Stormed: events.Storm,
		aggregator.Closed: events.Resolved,
	}
	for ours, theirs := range kinds {
		require.Equal(t, string(ours), theirs)
	}
}

// TestSchemasRefuse: each of them refuses data with one thing wrong, so that the tests above can fail.
func TestSchemasRefuse(t *testing.T) {
	schemas := schemas(t)
	for _, out := range replies(t) {
		for name, wrong := range map[string]func(data map[string]any){
			"a missing field": func(data map[string]any) { delete(data, "group") },
			"another type":    func(data map[string]any) { data["type"] = "absorbed" },
			"no hex digits":   func(data map[string]any) { data["group"] = "xyz" },
			"a fraction":      func(data map[string]any) { data["revision"] = 1.5 },
			"no count":        func(data map[string]any) { data["alerts"] = map[string]any{"total": 1} },
			"another kind":    func(data map[string]any) { data["incident"].(map[string]any)["kind"] = "Pod" },
		} {
			var data map[string]any
			require.NoError(t, out.DataAs(&data))
			wrong(data)
			require.Error(t, schemas[out.Type()].Validate(data), "%s: %s", out.Type(), name)
		}
	}
	var data map[string]any
	require.NoError(t, sent(t, aggregator.Closed, "").DataAs(&data))
	require.Error(t, schemas[events.TypeResolved].Validate(data), "an end has a reason")
}
