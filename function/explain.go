package function

import (
	"context"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/tracing"
)

// The names of fields that several log lines share. docs/traces-and-logs.md lists all fields, and a test compares it
// with the lines.
const (
	fieldTrace      = "traceId"
	fieldEvent      = "event"
	fieldTransition = "transition"
	fieldIncident   = "incident"
	fieldNamespace  = "namespace"
	fieldGroup      = "group"
	fieldPolicy     = "policy"
	fieldRevision   = "revision"
	fieldTotal      = "total"
	fieldFiring     = "firing"
	fieldReason     = "reason"
)

// logTransitions logs one line for each transition of an incident, however many alerts caused it. The trace is the
// context's.
func (p *pod) logTransitions(ctx context.Context, transitions []aggregator.Transition) {
	for _, t := range transitions {
		p.metrics.transition(t)
		fields := []any{
			fieldTransition, string(t.Type), fieldIncident, t.Incident, fieldNamespace, t.Namespace, fieldGroup, t.Group,
			fieldPolicy, t.Policy, fieldRevision, t.Revision, fieldTotal, t.Total, fieldFiring, t.Firing, fieldReason, t.Reason,
		}
		if id := tracing.ID(ctx); id != "" {
			fields = append(fields, fieldTrace, id)
		}
		p.log.Infow("incident "+string(t.Type), fields...)
	}
}

// What an event did to a group.
const (
	actionNone    = "none"    // It contained nothing new.
	actionWaits   = "waits"   // Nothing is decided before the import.
	actionChanged = "changed" // The incident changes.
)

// explain logs, at debug, what an event did to each of its groups and why, one line each.
func (p *pod) explain(ctx context.Context, ev event.Event, results []folded) {
	if !p.log.Level().Enabled(zap.DebugLevel) {
		return
	}
	id := tracing.ID(traced(ctx, ev))
	for _, r := range results {
		if r.earlier {
			continue
		}
		policy := r.group.Policy
		fields := []any{
			logged(fieldEvent, ev.ID()),
			zap.Int("alerts", len(r.group.Alerts)),
			zap.String(fieldPolicy, policy.Name),
		}
		if id != "" {
			fields = append(fields, zap.String(fieldTrace, id))
		}
		if r.Group == "" {
			p.log.Debugw("group not folded", append(fields, fieldGroup, r.group.ID, zap.Error(r.Err))...)
			continue
		}
		p.log.Debugw("group folded", append(fields, fieldGroup, r.Group, "state", r.State, "action", action(r.Folded),
			"newlyFiring", r.NewlyFiring, "counted", r.Window, "threshold", policy.Threshold, "window", policy.Window,
			"windowLeft", windowLeft(r.Folded), fieldTotal, r.Total, fieldFiring, r.Firing, fieldRevision, r.Revision,
			"leased", r.Token != "", "due", r.Due)...)
	}
}

// windowLeft is how long the oldest resolved alert still counts towards a storm, 0 if there is none.
func windowLeft(fold aggregator.Folded) time.Duration {
	if fold.WindowUntil.IsZero() {
		return 0
	}
	return fold.WindowUntil.Sub(fold.Now)
}

// action is what a fold did: the latest transition, if it caused any.
func action(fold aggregator.Folded) string {
	switch n := len(fold.Transitions); {
	case n > 0:
		return known(fold.Transitions[n-1].Type, transitionTypes)
	case fold.State == "waiting":
		return actionWaits
	case fold.Changed:
		return actionChanged
	}
	return actionNone
}
