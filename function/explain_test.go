package function

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
)

// startLogged starts a function whose lines are kept.
func startLogged(t *testing.T, level zapcore.Level, settings ...string) (*Function, *observer.ObservedLogs) {
	core, lines := observer.New(level)
	f := New()
	f.log = zap.New(core).Sugar()
	startOn(t, f, settings...)
	return f, lines
}

// policiesOf are the settings for one policy with a field of its own.
func policiesOf(t *testing.T, field string) []string {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(path, []byte("policies:\n- name: default\n  "+field+"\n"), 0o600))
	return []string{"STORMFOLD_POLICIES", path}
}

// notification is an event with that many alerts.
func notification(t testing.TB, alerts int, status string) event.Event {
	ev := alertEvent(t, "", status)
	ev.SetType(handlers.TypeNotification)
	list := make([]map[string]any, alerts)
	for i := range list {
		list[i] = map[string]any{
			"status": status, "startsAt": time.Now().UTC().Format(time.RFC3339),
			"labels": map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": fmt.Sprint("web-", i)},
		}
	}
	require.NoError(t, ev.SetData("application/json", map[string]any{"version": "4", "groupKey": "{}", "alerts": list}))
	return ev
}

func handled(t *testing.T, f *Function, events ...event.Event) {
	t.Helper()
	for _, ev := range events {
		_, err := f.Handle(t.Context(), ev)
		require.NoError(t, err)
	}
}

// life makes an incident go through everything that can happen to one, and returns the lines of that in their order.
func life(t *testing.T, f *Function, lines *observer.ObservedLogs) []observer.LoggedEntry {
	t.Helper()
	transitions := func() []observer.LoggedEntry {
		return lines.Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()[fieldTransition] != nil }).All()
	}
	handled(t, f, withTrace(alertEvent(t, "web-0", "firing")), withTrace(alertEvent(t, "web-1", "firing")))
	// Both are written: one that never stood anywhere is dropped and not absorbed.
	require.Eventually(t, func() bool {
		list, err := f.Parts.Incidents.List(t.Context(), "stormfold", metav1.ListOptions{})
		return err == nil && len(list.Items) == 2
	}, 30*time.Second, time.Millisecond)
	handled(t, f, withTrace(notification(t, 5, "firing")))
	require.Eventually(t, func() bool { return len(transitions()) == 4 }, 30*time.Second, time.Millisecond)
	// It begins again after the end, beyond doubt.
	back := withTrace(alertEventSince(t, "web-0", "firing", time.Now().Add(time.Minute)))
	back.SetTime(time.Now().Add(time.Minute))
	handled(t, f, withTrace(notification(t, 5, "resolved")), back)
	require.NoError(t, f.Stop(t.Context()))
	return transitions()
}

func TestATransitionIsOneLine(t *testing.T) {
	f, lines := startLogged(t, zap.InfoLevel, policiesOf(t, "flush: {min: 100ms, max: 100ms}")...)
	var told []string
	for _, line := range life(t, f, lines) {
		fields := line.ContextMap()
		kind := fields[fieldTransition].(string)
		told = append(told, kind)
		require.Equal(t, zap.InfoLevel, line.Level)
		require.Equal(t, "incident "+kind, line.Message)
		require.NotEmpty(t, fields[fieldIncident])
		require.Equal(t, "stormfold", fields[fieldNamespace])
		require.Len(t, fields[fieldGroup], 16)
		require.Equal(t, "default", fields[fieldPolicy])
		require.Positive(t, fields[fieldRevision])
		require.Contains(t, fields, fieldTotal)
		require.Contains(t, fields, fieldFiring)
		require.Equal(t, map[string]string{"resolved": "AllResolved"}[kind], fields[fieldReason])
		if kind != "absorbed" { // By whoever writes the group, in no event.
			require.Equal(t, traceID, fields[fieldTrace], "that of the event, though no spans are made")
		}
		if kind == "storm" {
			require.EqualValues(t, 5, fields[fieldFiring])
		}
	}
	require.Equal(t, []string{"opened", "opened", "storm", "absorbed", "resolved", "reopened"}, told)
}

// Each kind of transition has a line of the same fields, whatever brought it about.
func TestEachKindOfTransitionIsLogged(t *testing.T) {
	core, lines := observer.New(zap.InfoLevel)
	p := &pod{log: zap.New(core).Sugar(), metrics: newMetrics()}
	for _, kind := range transitionTypes {
		p.logTransitions(t.Context(), []aggregator.Transition{{Type: kind, Incident: "i", Group: "g", Reason: "Quiet"}})
		taken := lines.TakeAll()
		require.Len(t, taken, 1)
		require.Equal(t, string(kind), taken[0].ContextMap()[fieldTransition])
		require.Equal(t, "Quiet", taken[0].ContextMap()[fieldReason])
		require.NotContains(t, taken[0].ContextMap(), fieldTrace)
	}
}

// A storm of many alerts is a few lines. More would take the embedded Redis too long on a busy machine.
func TestAStormIsAFewLines(t *testing.T) {
	const alerts = 1000
	f, lines := startLogged(t, zap.InfoLevel)
	handled(t, f, notification(t, alerts, "firing"), notification(t, alerts, "resolved"))
	require.NoError(t, f.Stop(t.Context()))
	require.Less(t, lines.Len(), 20)
	require.Equal(t, 1, lines.FilterMessage("incident storm").Len())
	require.Equal(t, 1, lines.FilterMessage("incident resolved").Len())
}

// At debug each group of an event has one line that says why what happened did.
func TestAnEventIsExplained(t *testing.T) {
	f, lines := startLogged(t, zap.DebugLevel)
	ev := withTrace(event.New())
	ev.SetID("4b1d")
	ev.SetSource("/test")
	ev.SetType(handlers.TypeNotification)
	ev.SetTime(time.Now())
	var alerts []map[string]any
	for i := range 7 { // One of shop-0, two of shop-1, four of shop-2.
		alerts = append(alerts, map[string]any{
			"status": "firing", "startsAt": time.Now().UTC().Format(time.RFC3339),
			"labels": map[string]string{
				"alertname": "A",
				"namespace": fmt.Sprintf("shop-%d", []int{0, 1, 1, 2, 2, 2, 2}[i]),
				"pod":       fmt.Sprint("web-", i),
			},
		})
	}
	require.NoError(t, ev.SetData("application/json", map[string]any{"version": "4", "groupKey": "{}", "alerts": alerts}))
	handled(t, f, ev)
	explained := lines.FilterMessage("group folded").All()
	require.Len(t, explained, 3)
	for i, line := range explained {
		fields := line.ContextMap()
		alerts := []int64{1, 2, 4}[i]
		require.Equal(t, zap.DebugLevel, line.Level)
		for field, want := range map[string]any{
			fieldEvent: "4b1d", fieldTrace: traceID, fieldPolicy: "default", "state": "calm", "action": "opened",
			"alerts":      alerts,
			"newlyFiring": alerts, "counted": alerts, "threshold": int64(5), "window": 2 * time.Minute, "windowLeft": 0,
			"leased": true,
		} {
			require.EqualValues(t, want, fields[field], field)
		}
		require.Len(t, fields[fieldGroup], 16)
		require.Positive(t, fields[fieldRevision])
	}
	handled(t, f, ev)
	repeated := lines.FilterMessage("group folded").All()[3:]
	require.Len(t, repeated, 3)
	require.Equal(t, actionNone, repeated[0].ContextMap()["action"])
	require.Equal(t, false, repeated[0].ContextMap()["leased"])
	require.NoError(t, f.Stop(t.Context()))
}

// What Redis does not take has a line for each group too, and the refusal names the trace.
func TestAnEventThatIsNotFoldedIsExplained(t *testing.T) {
	f, lines := startLogged(t, zap.DebugLevel, "STORMFOLD_REDIS_TIMEOUT", "50ms")
	require.NoError(t, f.Parts.Redis.Close())
	_, err := f.Handle(t.Context(), withTrace(alertEvent(t, "web-0", "firing")))
	require.Equal(t, http.StatusServiceUnavailable, code(t, err))
	require.Equal(t, 1, lines.FilterMessage("group not folded").Len())
	refused := lines.FilterMessage("event refused for now").All()
	require.Len(t, refused, 1)
	require.Equal(t, traceID, refused[0].ContextMap()[fieldTrace])
	require.NoError(t, f.Stop(t.Context()))
}

// action names the latest transition, and otherwise why there is none.
func TestActions(t *testing.T) {
	opened, storm := aggregator.Transition{Type: aggregator.Opened}, aggregator.Transition{Type: aggregator.Stormed}
	require.Equal(
		t,
		"storm",
		action(aggregator.Folded{Changed: true, Transitions: []aggregator.Transition{opened, storm}}),
	)
	require.Equal(t, actionWaits, action(aggregator.Folded{Changed: true, State: "waiting"}))
	require.Equal(t, actionChanged, action(aggregator.Folded{Changed: true, State: "storm"}))
	require.Equal(t, actionNone, action(aggregator.Folded{State: "storm"}))
}

// Where neither spans nor debug lines are wanted, an event pays nothing for them.
func TestWhatIsOffCostsNothing(t *testing.T) {
	core, _ := observer.New(zap.InfoLevel)
	p := &pod{log: zap.New(core).Sugar(), metrics: newMetrics(), settings: &config.Settings{}}
	ev := withTrace(alertEvent(t, "web-0", "firing"))
	groups := []aggregator.Group{
		{ID: "0123456789abcdef", Policy: &config.Policy{Name: "default"}, Alerts: make([]aggregator.Alert, 100)},
	}
	results := failed(groups, nil)
	results[0].Folded = aggregator.Folded{Group: groups[0].ID, Policy: "default", Token: uuid.NewString(), Changed: true}
	written := &aggregator.Snapshot{Objects: make([]aggregator.Object, 3)}
	confirmed := slices.Repeat([]aggregator.Confirmed{{Name: "i"}}, 3)
	ctx, reply := t.Context(), event.New()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		ctx, span := p.eventSpan(ctx, ev)
		_, decode := p.traces.Start(ctx, spanDecode)
		decodedSpan(decode, handlers.Request{}, nil)
		_, fold := p.traces.Start(ctx, spanFold)
		foldedSpan(fold, results)
		p.explain(ctx, ev, results)
		ctx, project := p.projectionSpan(ctx, groups[0].ID, cause{})
		projectedSpan(ctx, "busy", nil)
		settledSpan(ctx, written, confirmed, nil)
		project.End()
		p.answeredSpan(ctx, span, &reply, nil)
	}))
}
