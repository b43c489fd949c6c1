package function

import (
	"context"
	"net/http"
	"slices"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/internal/meter"
	"github.com/stormfold/stormfold/internal/tracing"
)

// The spans of a function:
//
//	event     from an event's arrival to its answer, in the event's trace
//	  decode    parsing it
//	  fold      the call to Redis for all of its groups
//	  project   writing a group, when the event waits for it
//	project   writing a group at another time: a trace of its own, with a link to the latest event that made the group
//	          due
//
// An error is a reason of a closed set, since its sentence may contain labels or server names: that is in the log, with
// the trace id. docs/traces-and-logs.md lists all attributes, and a test compares it with this file.
const (
	spanEvent   = "event"
	spanDecode  = "decode"
	spanFold    = "fold"
	spanProject = "project"
)

// The attributes of spans, and of what happens within them.
const (
	attrEventID     = attribute.Key("cloudevents.event_id")
	attrEventType   = attribute.Key("cloudevents.event_type")
	attrEventSource = attribute.Key("cloudevents.event_source")

	attrAlerts     = attribute.Key("stormfold.alerts")
	attrGroups     = attribute.Key("stormfold.groups")
	attrGroup      = attribute.Key("stormfold.group")
	attrPolicy     = attribute.Key("stormfold.policy")
	attrState      = attribute.Key("stormfold.state")
	attrChanged    = attribute.Key("stormfold.changed")
	attrLeased     = attribute.Key("stormfold.leased")
	attrIncident   = attribute.Key("stormfold.incident")
	attrIncidents  = attribute.Key("stormfold.incidents")
	attrNamespace  = attribute.Key("stormfold.namespace")
	attrRevision   = attribute.Key("stormfold.revision")
	attrTransition = attribute.Key("stormfold.transition")
	attrReason     = attribute.Key("stormfold.reason")
	attrResult     = attribute.Key("stormfold.result")
)

// What happens within spans.
const (
	happenedGroup      = "group"
	happenedTransition = "transition"
	happenedWritten    = "written"
)

// maxHappened is the maximum number of groups, of transitions and of incidents that a span lists.
const maxHappened = 20

// startTraces starts tracing, with the given traces or as the environment configures it.
func (p *pod) startTraces(given *tracing.Tracing) (err error) {
	if p.traces = given; given != nil {
		return nil
	}
	p.traces, err = tracing.Start(
		tracing.Options{Service: "stormfold", Version: meter.Version(), Failing: func(err error) {
			if err != nil {
				p.log.Warnw("traces cannot be delivered", "error", err)
			} else {
				p.log.Infow("traces are delivered again")
			}
		}},
	)
	p.closers = append(p.closers, func() error {
		p.traces.Stop()
		return nil
	})
	return err
}

// Traced adds the trace of a request's headers to its context, if traces are on. The server of the function calls it.
func (f *Function) Traced(ctx context.Context, header http.Header) context.Context {
	if p := f.pod.Load(); p != nil && p.traces.On() {
		return tracing.FromHeader(ctx, header)
	}
	return ctx
}

// traced is a context with the trace of its span, or else of the event, so that the log names it whether or not spans
// are made.
func traced(ctx context.Context, ev event.Event) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return tracing.FromEvent(ctx, ev)
}

// eventSpan begins the span of an event.
func (p *pod) eventSpan(ctx context.Context, ev event.Event) (context.Context, trace.Span) {
	if !p.traces.On() {
		return p.traces.Start(ctx, spanEvent)
	}
	return p.traces.Start(
		tracing.FromEvent(ctx, ev),
		spanEvent,
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attrEventID.String(ev.ID()), attrEventType.String(ev.Type()), attrEventSource.String(ev.Source())),
	)
}

// answeredSpan ends the span of an event. Its reply goes on in the same trace.
func (p *pod) answeredSpan(ctx context.Context, span trace.Span, reply *event.Event, err error) {
	if p.traces.On() && reply != nil {
		tracing.ToEvent(ctx, reply)
	}
	if span.IsRecording() {
		result(span, string(handlers.ReasonOf(err)), err)
	}
	span.End()
}

// decodedSpan ends the span of decoding.
func decodedSpan(span trace.Span, request handlers.Request, err error) {
	if span.IsRecording() {
		result(span, string(handlers.ReasonOf(err)), err)
		span.SetAttributes(attrAlerts.Int(len(request.Batch.Alerts)))
	}
	span.End()
}

// foldedSpan ends the span of a fold.
func foldedSpan(span trace.Span, results []folded) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	err := firstError(results)
	result(span, string(handlers.ReasonOf(refusal(err, handlers.ReasonInternal))), err)
	results = slices.DeleteFunc(slices.Clone(results), func(r folded) bool { return r.earlier })
	alerts := 0
	var transitions []aggregator.Transition
	for i, r := range results {
		alerts += len(r.group.Alerts)
		if r.Group == "" {
			continue // Not folded.
		}
		about := []attribute.KeyValue{
			attrGroup.String(r.Group), attrPolicy.String(r.Policy), attrState.String(r.State),
			attrRevision.Int64(r.Revision), attrChanged.Bool(r.Changed), attrLeased.Bool(r.Token != ""),
		}
		if len(results) == 1 {
			span.SetAttributes(about...) // Usually there is one, and people search for it.
		}
		if i < maxHappened {
			span.AddEvent(happenedGroup, trace.WithAttributes(append(about, attrAlerts.Int(len(r.group.Alerts)))...))
		}
		transitions = append(transitions, r.Transitions...)
	}
	span.SetAttributes(attrAlerts.Int(alerts), attrGroups.Int(len(results)))
	transitionsOf(span, transitions)
}

// transitionsOf adds the transitions of incidents to a span.
func transitionsOf(span trace.Span, transitions []aggregator.Transition) {
	for _, t := range transitions[:min(len(transitions), maxHappened)] {
		about := []attribute.KeyValue{
			attrTransition.String(
				known(t.Type, transitionTypes),
			), attrIncident.String(t.Incident), attrRevision.Int64(t.Revision),
		}
		if t.Reason != "" {
			about = append(about, attrReason.String(t.Reason))
		}
		if len(transitions) == 1 {
			span.SetAttributes(about...)
		}
		span.AddEvent(
			happenedTransition,
			trace.WithAttributes(append(about, attrNamespace.String(t.Namespace), attrGroup.String(t.Group))...),
		)
	}
}

// projectionSpan begins the span of writing a group.
func (p *pod) projectionSpan(ctx context.Context, group string, why cause) (context.Context, trace.Span) {
	if !p.traces.On() {
		return p.traces.Start(ctx, spanProject)
	}
	options := []trace.SpanStartOption{trace.WithAttributes(attrGroup.String(group), attrResult.String("nothing"))}
	switch {
	case why.within:
		ctx = trace.ContextWithSpanContext(ctx, why.span)
	case why.span.IsValid():
		options = append(options, trace.WithLinks(trace.Link{SpanContext: why.span}))
	}
	return p.traces.Start(ctx, spanProject, options...)
}

// projectedSpan adds to the context's span how a round of a projection ended, unless it wrote something or found
// nothing to write.
func projectedSpan(ctx context.Context, how string, err error) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		result(span, how, err)
	}
}

// settledSpan adds to the context's span what was written.
func settledSpan(ctx context.Context, s *aggregator.Snapshot, confirmed []aggregator.Confirmed, err error) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	how := "ok"
	if err != nil {
		how = "error"
	}
	result(span, how, err)
	span.SetAttributes(attrPolicy.String(s.Policy), attrIncidents.Int(len(s.Objects)))
	transitionsOf(span, s.Transitions)
	for _, c := range confirmed {
		about := []attribute.KeyValue{attrIncident.String(c.Name), attrRevision.Int64(c.Revision)}
		if len(s.Objects) == 1 {
			span.SetAttributes(about...)
		}
		span.AddEvent(happenedWritten, trace.WithAttributes(append(about, attrNamespace.String(c.Namespace))...))
	}
}

// result is how it ended, from a closed set.
func result(span trace.Span, how string, err error) {
	span.SetAttributes(attrResult.String(how))
	if err != nil {
		span.SetStatus(codes.Error, how)
	}
}
