// Package tracing makes spans and sends them by OTLP, for the function and for the source. It is configured by the
// standard environment variables of OpenTelemetry, see docs/traces-and-logs.md, and off unless one of them names an
// endpoint: then there is no SDK, and a span costs nothing.
//
//	environment.go   what the variables say, or one sentence that names the one that is wrong
//	client.go        batches of spans to the collector, by HTTP
//	propagation.go   the trace that an event or a request belongs to
//
// Nothing global is set: a library that makes spans of its own does not get into these traces.
package tracing

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// scope names whose spans these are.
	scope = "github.com/stormfold/stormfold"
	// flushWithin bounds how long a stop waits for the collector to take the last spans.
	flushWithin = 3 * time.Second
	// maxAttribute is how much of an attribute's text is kept, in bytes, unless the environment says otherwise. A sender
	// chooses an event's id and source.
	maxAttribute = 256
)

// Tracing makes spans. A nil Tracing is off: each method works and does nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	client   *client
}

// Options are what the environment does not say.
type Options struct {
	// Service and Version are the resource's service.name, unless the environment names another, and service.version.
	Service, Version string
	// Failing is told when spans cannot be delivered any more, with the reason, and with nil when they can again.
	Failing func(error)
}

// Start returns what makes spans, nil when the environment names no endpoint. Its error is one sentence that names the
// variable that is wrong. It does not speak to the collector yet.
func Start(o Options) (*Tracing, error) {
	env, err := fromEnvironment()
	if err != nil || env == nil {
		return nil, err
	}
	c := newClient(env, o.Failing)
	exporter, err := otlptrace.New(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("making the exporter of spans: %w", err)
	}
	resources, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf(
			"OTEL_RESOURCE_ATTRIBUTES: it is not a list like deployment.environment.name=prod,k8s.pod.name=x: %w",
			err,
		)
	}
	t := Of(sdktrace.NewBatchSpanProcessor(exporter), sdktrace.WithResource(resources), sdktrace.WithSampler(env.sampler))
	t.client = c
	return t, nil
}

// Of makes spans for a processor, whatever the environment says.
func Of(processor sdktrace.SpanProcessor, options ...sdktrace.TracerProviderOption) *Tracing {
	limits := sdktrace.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxAttribute
	}
	provider := sdktrace.NewTracerProvider(
		append(options, sdktrace.WithSpanProcessor(processor), sdktrace.WithRawSpanLimits(limits))...)
	return &Tracing{provider: provider, tracer: provider.Tracer(scope)}
}

// none is a span of which nothing is kept.
var none = trace.SpanFromContext(context.Background())

// Start begins a span, a child of the context's. Whoever gives options asks On before, since making them costs
// something.
func (t *Tracing) Start(
	ctx context.Context,
	name string,
	options ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	if t == nil {
		return ctx, none
	}
	return t.tracer.Start(ctx, name, options...)
}

// On tells whether spans are made.
func (t *Tracing) On() bool { return t != nil }

// Stop delivers what has ended, within flushWithin: what a collector does not accept in that time is lost, and Failing
// is called.
func (t *Tracing) Stop() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	if t.client == nil {
		_ = t.provider.Shutdown(ctx) // A processor that the caller gave, and looks after.
		return
	}
	t.client.hurry()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.client.tell(fmt.Errorf("delivering the last spans: %w", err))
	}
	t.client.end()
}
