// Package cases holds what senders really do, as users of Alertmanager and of Kubernetes have reported it: each case
// is a few documents, replayed on a virtual clock, and what has to come of them.
package cases

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/alertmanager"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/internal/replay"
)

// noon is when the cases begin.
var noon = time.Date(2026, 4, 20, 12, 0, 0, 0, time.UTC)

func at(after time.Duration) string { return noon.Add(after).Format(time.RFC3339Nano) }

// labels reads "alertname=A pod=p".
func labels(text string) map[string]string {
	out := map[string]string{}
	for _, pair := range strings.Fields(text) {
		name, value, _ := strings.Cut(pair, "=")
		out[name] = value
	}
	return out
}

// fires is an alert of a webhook that fires since a time after noon.
func fires(text string, since time.Duration) string { return alertOf("firing", labels(text), since, 0) }

// ended is one that does no longer.
func ended(text string, since, to time.Duration) string {
	return alertOf("resolved", labels(text), since, to)
}

func alertOf(status string, set map[string]string, since, to time.Duration) string {
	document := map[string]any{
		"status": status, "labels": set, "annotations": map[string]string{}, "startsAt": at(since), "endsAt": time.Time{},
	}
	if status == "resolved" {
		document["endsAt"] = at(to)
	}
	return mustJSON(document)
}

// sent is a webhook that arrives at a time after noon.
func sent(arrives time.Duration, alerts ...string) string {
	return `{"time":"` + at(arrives) + `","data":` + webhook(alerts...) + `}`
}

// webhook is the document of Alertmanager's webhook.
func webhook(alerts ...string) string {
	return `{"version":"4","groupKey":"{}:{}","truncatedAlerts":0,"status":"firing","receiver":"r","groupLabels":{},` +
		`"commonLabels":{},"commonAnnotations":{},"externalURL":"","alerts":[` + strings.Join(alerts, ",") + `]}`
}

func mustJSON(value any) string {
	content, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(content)
}

// policies reads a policies file.
func policies(t *testing.T, text string) config.Policies {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	out, err := config.LoadPolicies(path)
	require.NoError(t, err)
	return out
}

// outcome is what came of the documents of a case.
type outcome struct {
	// incidents are all, as they stood last, in the order in which they were created; states what each went through.
	incidents []v1alpha1.Incident
	states    map[string][]v1alpha1.State
	// written is everything that was written.
	written []v1alpha1.Incident
}

// play replays documents under policies.
func play(t *testing.T, p config.Policies, documents ...string) outcome {
	t.Helper()
	notifications, err := replay.Read("case", []byte(strings.Join(documents, "\n")))
	require.NoError(t, err)
	out := outcome{states: map[string][]v1alpha1.State{}}
	changed := func(_ time.Time, i v1alpha1.Incident, deleted bool) {
		if deleted || i.Status.State == "" {
			return
		}
		out.written = append(out.written, i)
		if known := out.states[i.Name]; len(known) == 0 || known[len(known)-1] != i.Status.State {
			out.states[i.Name] = append(known, i.Status.State)
		}
		n := slices.IndexFunc(out.incidents, func(other v1alpha1.Incident) bool { return other.Name == i.Name })
		if n < 0 {
			out.incidents = append(out.incidents, i)
		} else {
			out.incidents[n] = i
		}
	}
	_, err = replay.Run(t.Context(), notifications, replay.Options{Policies: p, Changed: changed})
	require.NoError(t, err)
	return out
}

// kept are the incidents that no other one stands for.
func (o outcome) kept() []v1alpha1.Incident {
	absorbed := func(i v1alpha1.Incident) bool { return i.Status.State == v1alpha1.StateAbsorbed }
	return slices.DeleteFunc(slices.Clone(o.incidents), absorbed)
}

// only is the one incident that there has to be.
func (o outcome) only(t *testing.T) v1alpha1.Incident {
	t.Helper()
	kept := o.kept()
	require.Len(t, kept, 1)
	return kept[0]
}

// resources are those of all incidents, as Kind namespace/name, sorted.
func (o outcome) resources() []string {
	var out []string
	for _, i := range o.kept() {
		for _, r := range i.Status.Resources {
			out = append(out, r.Kind+" "+r.Namespace+"/"+r.Name)
		}
	}
	slices.Sort(out)
	return out
}

// holds tells whether an incident counts an alert.
func (o outcome) holds(t *testing.T, text string) bool {
	t.Helper()
	for _, i := range o.kept() {
		members, err := projector.MembersOf(&i)
		require.NoError(t, err)
		for _, m := range members {
			if m.Fingerprint == alertmanager.Fingerprint(labels(text)) {
				return true
			}
		}
	}
	return false
}

// reason is why an incident has ended.
func reason(i v1alpha1.Incident) string {
	for _, c := range i.Status.Conditions {
		if c.Type == v1alpha1.ConditionResolved && c.Status == "True" {
			return c.Reason
		}
	}
	return ""
}

func endedAt(i v1alpha1.Incident) time.Duration {
	if i.Status.ResolvedAt == nil {
		return 0
	}
	return i.Status.ResolvedAt.Sub(noon)
}
