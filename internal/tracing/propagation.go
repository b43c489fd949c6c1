package tracing

import (
	"context"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// w3c is the notation of traceparent and tracestate, the same in a header and in CloudEvents' extension for distributed
// tracing.
var w3c = propagation.TraceContext{}

// FromEvent gives a context the trace that an event belongs to by its extension. An extension that is missing or
// malformed leaves the context as it is, with the trace of the request, if it had one.
func FromEvent(ctx context.Context, ev event.Event) context.Context {
	return w3c.Extract(ctx, attributes{&ev})
}

// FromHeader gives a context the trace that a request belongs to.
func FromHeader(ctx context.Context, header http.Header) context.Context {
	return w3c.Extract(ctx, propagation.HeaderCarrier(header))
}

// ToEvent writes the context's trace into an event's extension. A context without one leaves the event as it is.
func ToEvent(ctx context.Context, ev *event.Event) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	ev.SetExtension(tracestate, nil) // That of another span does not belong to this one.
	w3c.Inject(ctx, attributes{ev})
}

// ToHeader writes the context's trace into a request's headers, for those on the way that know nothing of the event.
func ToHeader(ctx context.Context, header http.Header) {
	w3c.Inject(ctx, propagation.HeaderCarrier(header))
}

// ID is the id of the context's trace, 32 hex digits; empty when it has none.
func ID(ctx context.Context) string {
	of := trace.SpanContextFromContext(ctx)
	if !of.IsValid() {
		return ""
	}
	return of.TraceID().String()
}

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// attributes are an event's extensions as a carrier.
type attributes struct{ *event.Event }

// Get implements propagation.TextMapCarrier.
func (a attributes) Get(key string) string {
	value, err := types.Format(a.Extensions()[key])
	if err != nil {
		return ""
	}
	return value
}

// Set implements propagation.TextMapCarrier.
func (a attributes) Set(key, value string) { a.SetExtension(key, value) }

// Keys implements propagation.TextMapCarrier.
func (a attributes) Keys() []string { return []string{traceparent, tracestate} }
