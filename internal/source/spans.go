package source

import (
	"context"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/stormfold/stormfold/internal/tracing"
)

// The spans of the source, and their attributes: a webhook from its arrival to its answer, in the trace of the request,
// and in it the sending of each event, whose span the event names as traceparent. Where no spans are made the events
// name the request's.
const (
	spanWebhook = "webhook"
	spanSend    = "send"

	attrEventID     = attribute.Key("cloudevents.event_id")
	attrEventType   = attribute.Key("cloudevents.event_type")
	attrEventSource = attribute.Key("cloudevents.event_source")
	attrAlerts      = attribute.Key("stormfold.alerts")
	attrResult      = attribute.Key("stormfold.result")
)

// startTraces begins to make spans, if the environment wants them.
func startTraces(log *zap.SugaredLogger) (*tracing.Tracing, error) {
	return tracing.Start(tracing.Options{Service: "stormfold-source", Version: Version(), Failing: func(err error) {
		if err != nil {
			log.Warnw("traces cannot be delivered", "error", err)
		} else {
			log.Infow("traces are delivered again")
		}
	}})
}

// webhookSpan begins the span of a webhook.
func (s *Source) webhookSpan(r *http.Request) (*http.Request, trace.Span) {
	ctx := tracing.FromHeader(r.Context(), r.Header)
	if s.traces.On() {
		var span trace.Span
		ctx, span = s.traces.Start(ctx, spanWebhook, trace.WithSpanKind(trace.SpanKindServer))
		return r.WithContext(ctx), span
	}
	if ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	return r, trace.SpanFromContext(ctx)
}

// sendTraced sends an event that names its span.
func (s *Source) sendTraced(ctx context.Context, ev event.Event, alerts int) error {
	if !s.traces.On() {
		tracing.ToEvent(ctx, &ev)
		return s.sink.send(ctx, ev)
	}
	ctx, span := s.traces.Start(ctx, spanSend, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attrEventID.String(ev.ID()), attrEventType.String(ev.Type()), attrEventSource.String(ev.Source())))
	tracing.ToEvent(ctx, &ev)
	err := s.sink.send(ctx, ev)
	endSpan(span, resultOfSend(err), alerts)
	return err
}

// endSpan ends a span with its result, from a closed set: a sentence may quote the notification.
func endSpan(span trace.Span, result reason, alerts int) {
	if span.IsRecording() {
		span.SetAttributes(attrResult.String(string(result)), attrAlerts.Int(alerts))
		if result != ok {
			span.SetStatus(codes.Error, string(result))
		}
	}
	span.End()
}

// withTrace adds the id of the context's trace to the fields of a line of the log.
func (s *Source) withTrace(ctx context.Context, fields ...any) []any {
	if id := tracing.ID(ctx); id != "" {
		return append(fields, "traceId", id)
	}
	return fields
}
