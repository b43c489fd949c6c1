package tracing

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

const (
	parent  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func newEvent(extensions ...any) event.Event {
	ev := event.New()
	for i := 0; i+1 < len(extensions); i += 2 {
		ev.SetExtension(extensions[i].(string), extensions[i+1])
	}
	return ev
}

func TestAnEventNamesItsTrace(t *testing.T) {
	ctx := FromEvent(t.Context(), newEvent("traceparent", parent, "tracestate", "vendor=x"))
	of := trace.SpanContextFromContext(ctx)
	require.Equal(t, traceID, ID(ctx))
	require.Equal(t, "00f067aa0ba902b7", of.SpanID().String())
	require.True(t, of.IsRemote())
	require.Equal(t, "vendor=x", of.TraceState().String())
	out := newEvent("traceparent", "00-old", "tracestate", "old=1")
	ToEvent(ctx, &out)
	require.Equal(t, map[string]any{"traceparent": parent, "tracestate": "vendor=x"}, out.Extensions())
	ToEvent(FromEvent(t.Context(), newEvent("traceparent", parent)), &out)
	require.Equal(t, map[string]any{"traceparent": parent}, out.Extensions(), "the state of another span is not kept")
	header := http.Header{}
	ToHeader(ctx, header)
	require.Equal(t, parent, header.Get("Traceparent"))
	require.Equal(t, traceID, ID(FromHeader(t.Context(), header)))
}

// A malformed extension is as good as none: the trace of the request counts.
func TestAMalformedTraceIsIgnored(t *testing.T) {
	request := FromHeader(t.Context(), http.Header{"Traceparent": {strings.Replace(parent, "4bf9", "ffff", 1)}})
	require.NotEmpty(t, ID(request))
	for _, ev := range []event.Event{
		{}, newEvent(), newEvent("traceparent", ""), newEvent("traceparent", 1), newEvent("traceparent", true),
		newEvent("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
		newEvent("traceparent", strings.ToUpper(parent)), newEvent("traceparent", parent+"-x"), newEvent("traceparent",
			parent[:50]),
		newEvent("traceparent", strings.Repeat("0", 1<<20)), newEvent("tracestate", "vendor=x"),
	} {
		require.Empty(t, ID(FromEvent(t.Context(), ev)))
		require.Equal(t, request, FromEvent(request, ev))
	}
	require.Equal(
		t,
		traceID,
		ID(FromEvent(request, newEvent("traceparent", parent, "tracestate", "!"))),
		"only the state is malformed",
	)
	require.Equal(t, traceID, ID(FromEvent(request, newEvent("traceparent", parent))), "the extension comes first")
	out := newEvent()
	ToEvent(t.Context(), &out)
	require.Empty(t, out.Extensions())
}
