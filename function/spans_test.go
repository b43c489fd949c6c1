package function

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/stormfold/stormfold/internal/tracing"
)

const (
	traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID    = "00f067aa0ba902b7"
)

// startTraced starts a function whose spans are kept.
func startTraced(t *testing.T, settings ...string) (*Function, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	f := New()
	f.traces = tracing.Of(recorder)
	startOn(t, f, settings...)
	return f, recorder
}

// spansOf are the ended spans of a name.
func spansOf(recorder *tracetest.SpanRecorder, name string) []sdktrace.ReadOnlySpan {
	var out []sdktrace.ReadOnlySpan
	for _, span := range recorder.Ended() {
		if span.Name() == name {
			out = append(out, span)
		}
	}
	return out
}

func attributeOf(attributes []attribute.KeyValue, key attribute.Key) string {
	set := attribute.NewSet(attributes...)
	value, _ := set.Value(key)
	return value.String()
}

func withTrace(ev event.Event) event.Event {
	ev.SetExtension("traceparent", traceparent)
	return ev
}

func TestTheSpansOfAnEvent(t *testing.T) {
	f, recorder := startTraced(t)
	ev := withTrace(alertEvent(t, "web-0", "firing"))
	reply, err := f.Handle(t.Context(), ev)
	require.NoError(t, err)
	require.Len(t, spansOf(recorder, spanEvent), 1)
	root := spansOf(recorder, spanEvent)[0]
	require.Equal(t, traceID, root.SpanContext().TraceID().String())
	require.Equal(t, parentID, root.Parent().SpanID().String())
	require.Equal(t, ev.ID(), attributeOf(root.Attributes(), attrEventID))
	require.Equal(t, ev.Type(), attributeOf(root.Attributes(), attrEventType))
	require.Equal(t, "/test", attributeOf(root.Attributes(), attrEventSource))
	require.Equal(t, "ok", attributeOf(root.Attributes(), attrResult))
	for _, name := range []string{spanDecode, spanFold, spanProject} {
		spans := spansOf(recorder, name)
		require.Len(t, spans, 1, name)
		require.Equal(t, traceID, spans[0].SpanContext().TraceID().String(), name)
		require.Equal(t, root.SpanContext().SpanID(), spans[0].Parent().SpanID(), name)
		require.Empty(t, spans[0].Links(), name)
		require.Equal(t, "ok", attributeOf(spans[0].Attributes(), attrResult), name)
		require.Equal(t, codes.Unset, spans[0].Status().Code, name)
	}
	fold, project := spansOf(recorder, spanFold)[0], spansOf(recorder, spanProject)[0]
	require.Equal(t, "opened", attributeOf(fold.Attributes(), attrTransition))
	require.Equal(t, "1", attributeOf(fold.Attributes(), attrAlerts))
	require.Equal(t, reply.Subject(), attributeOf(fold.Attributes(), attrIncident))
	require.Equal(t, reply.Subject(), attributeOf(project.Attributes(), attrIncident))
	require.Equal(t, attributeOf(fold.Attributes(), attrRevision), attributeOf(project.Attributes(), attrRevision))
	require.Equal(t, attributeOf(fold.Attributes(), attrGroup), attributeOf(project.Attributes(), attrGroup))
	require.Equal(t, "default", attributeOf(project.Attributes(), attrPolicy))
	require.Equal(
		t,
		"00-"+traceID+"-"+root.SpanContext().SpanID().String()+"-01",
		reply.Extensions()["traceparent"],
		"the reply goes on",
	)
	require.NoError(t, f.Stop(t.Context()))
}

// What waits for its flush interval is written in a trace of its own, which leads to the latest event of the group.
func TestALaterProjectionIsLinked(t *testing.T) {
	f, recorder := startTraced(t, policiesOf(t, "flush: {min: 1m, max: 1m}")...)
	for _, pod := range []string{"web-0", "web-1", "web-2"} {
		_, err := f.Handle(t.Context(), withTrace(alertEvent(t, pod, "firing")))
		require.NoError(t, err)
	}
	require.NoError(t, f.Stop(t.Context()), "it writes what is remembered")
	events, projects := spansOf(recorder, spanEvent), spansOf(recorder, spanProject)
	require.Len(t, events, 3)
	last := projects[len(projects)-1]
	require.NotEqual(t, traceID, last.SpanContext().TraceID().String())
	require.False(t, last.Parent().IsValid())
	require.Len(t, last.Links(), 1)
	require.Equal(t, events[2].SpanContext().SpanID(), last.Links()[0].SpanContext.SpanID())
}

// The last link counts, and what waits in line is not a part of the event that does not wait for it.
func TestATaskKeepsOneCause(t *testing.T) {
	tracer := tracing.Of(tracetest.NewSpanRecorder())
	_, first := tracer.Start(t.Context(), "first")
	_, second := tracer.Start(t.Context(), "second")
	got := make(chan cause, 2)
	s := newScheduler(1, func(_, _ string, _ bool, why cause) { got <- why })
	later := time.Now().Add(time.Hour)
	s.schedule("g", later, "", cause{span: first.SpanContext()})
	s.schedule("g", later, "", cause{span: second.SpanContext(), within: true})
	s.schedule("g", time.Now(), "", cause{})
	require.Equal(t, cause{span: second.SpanContext()}, <-got)
	<-s.start("g", "t", cause{span: first.SpanContext(), within: true})
	require.Equal(t, cause{span: first.SpanContext(), within: true}, <-got)
	s.drain()
}

func TestARefusalIsAnErrorWithoutItsSentence(t *testing.T) {
	f, recorder := startTraced(t)
	ev := alertEvent(t, "web-0", "secret word")
	_, err := f.Handle(t.Context(), ev)
	require.Equal(t, http.StatusBadRequest, code(t, err))
	require.ErrorContains(t, err, "secret word")
	for _, name := range []string{spanEvent, spanDecode} {
		span := spansOf(recorder, name)[0]
		require.Equal(t, codes.Error, span.Status().Code)
		require.Equal(t, "invalid", span.Status().Description)
		require.Equal(t, "invalid", attributeOf(span.Attributes(), attrResult))
		require.Empty(t, span.Events(), "no exception with the sentence")
	}
	require.Empty(t, spansOf(recorder, spanFold))
	require.NoError(t, f.Stop(t.Context()))
}

// A malformed extension begins a trace of its own, unless the request has one, and refuses nothing.
func TestAMalformedTraceparentIsIgnored(t *testing.T) {
	f, recorder := startTraced(t)
	request := f.Traced(t.Context(), http.Header{"Traceparent": {traceparent}})
	for i, value := range []any{"00-xyz", "", 7} {
		ev := alertEvent(t, "web-0", "firing")
		ev.SetExtension("traceparent", value)
		_, err := f.Handle(t.Context(), ev)
		require.NoError(t, err)
		span := spansOf(recorder, spanEvent)[2*i]
		require.False(t, span.Parent().IsValid())
		require.NotEqual(t, traceID, span.SpanContext().TraceID().String())
		_, err = f.Handle(request, ev)
		require.NoError(t, err)
		require.Equal(t, traceID, spansOf(recorder, spanEvent)[2*i+1].SpanContext().TraceID().String())
	}
	require.NoError(t, f.Stop(t.Context()))
}

// An unsampled trace is gone on with and nothing of it is kept.
func TestAnUnsampledTraceIsNotKept(t *testing.T) {
	f, recorder := startTraced(t)
	ev := alertEvent(t, "web-0", "firing")
	ev.SetExtension("traceparent", traceparent[:len(traceparent)-1]+"0")
	reply, err := f.Handle(t.Context(), ev)
	require.NoError(t, err)
	require.Empty(t, spansOf(recorder, spanEvent))
	require.Contains(t, reply.Extensions()["traceparent"], traceID)
	require.NoError(t, f.Stop(t.Context()))
}

func TestTracesAreOffByDefault(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	f, _ := start(t)
	require.False(t, f.pod.Load().traces.On())
	_, span := otel.Tracer("any").Start(t.Context(), "x")
	require.False(t, span.SpanContext().IsValid(), "no provider is installed")
	header := http.Header{"Traceparent": {traceparent}}
	require.Equal(t, t.Context(), f.Traced(t.Context(), header))
	reply, err := f.Handle(t.Context(), withTrace(alertEvent(t, "web-0", "firing")))
	require.NoError(t, err)
	require.Equal(t, traceparent, reply.Extensions()["traceparent"])
	require.NoError(t, f.Stop(t.Context()))
}

func TestAWrongVariableStopsTheStart(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	err := New().Start(t.Context(), map[string]string{"STORMFOLD_METRICS_ADDRESS": "off"})
	require.ErrorContains(t, err, `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported`)
}

// A projection that fails says so, and what it could not write keeps its cause.
func TestAProjectionThatFails(t *testing.T) {
	f, recorder := startTraced(t)
	p := f.pod.Load()
	ctx, span := p.projectionSpan(t.Context(), "g", cause{})
	projectedSpan(ctx, "redis", errors.New("secret host"))
	span.End()
	ended := spansOf(recorder, spanProject)[0]
	require.Equal(t, codes.Error, ended.Status().Code)
	require.Equal(t, "redis", ended.Status().Description)
	require.NoError(t, f.Stop(t.Context()))
}
