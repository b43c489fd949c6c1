package source

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/stormfold/stormfold/internal/tracing"
)

const (
	traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
)

// Where no spans are made an event names the trace of the webhook's request, and none when that has none.
func TestAnEventGoesOnWithTheTraceOfItsWebhook(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	for _, c := range []struct{ header, want string }{{traceparent, traceparent}, {"00-xyz", ""}, {"", ""}} {
		status, said := post(s, webhook(1), "Traceparent", c.header)
		require.Equal(t, http.StatusOK, status, said)
		accepted := sink.accepted()
		got, _ := accepted[len(accepted)-1].Extensions()["traceparent"].(string)
		require.Equal(t, c.want, got)
	}
}

// webhook has that many alerts.
func webhook(alerts int) string {
	all := make([]string, alerts)
	for i := range all {
		all[i] = anAlert(i, 500)
	}
	return aWebhook(all...)
}

func traced(t *testing.T, sink string) (*Source, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	s := newSource(t, sink)
	s.traces = tracing.Of(recorder)
	return s, recorder
}

// Each event names its own span, also in the header of the request that carries it.
func TestAnEventNamesItsSpan(t *testing.T) {
	sink := newRecorder(t)
	s, recorder := traced(t, sink.URL)
	status, said := post(s, webhook(1000), "Traceparent", traceparent)
	require.Equal(t, http.StatusOK, status, said)
	spans, events := recorder.Ended(), sink.accepted()
	require.Greater(t, len(events), 1)
	require.Len(t, spans, len(events)+1)
	root := spans[len(events)]
	require.Equal(t, spanWebhook, root.Name())
	require.Equal(t, traceID, root.SpanContext().TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", root.Parent().SpanID().String())
	for i, ev := range events {
		require.Equal(t, spanSend, spans[i].Name())
		require.Equal(t, root.SpanContext().SpanID(), spans[i].Parent().SpanID())
		require.Equal(t, "00-"+traceID+"-"+spans[i].SpanContext().SpanID().String()+"-01", ev.Extensions()["traceparent"])
		require.Contains(t, spans[i].Attributes(), attrEventID.String(ev.ID()))
		require.Contains(t, spans[i].Attributes(), attrResult.String("ok"))
	}
	require.Contains(t, root.Attributes(), attrAlerts.Int(1000))

	documented, err := os.ReadFile("../../docs/traces-and-logs.md")
	require.NoError(t, err)
	for _, span := range []sdktrace.ReadOnlySpan{root, spans[0]} {
		_, row, found := strings.Cut(string(documented), "\n| `"+span.Name()+"` | source | ")
		require.True(t, found, span.Name())
		row, _, _ = strings.Cut(row, "\n")
		require.Equal(t, len(span.Attributes()), strings.Count(row, "`cloudevents.")+strings.Count(row, "`stormfold."))
		for _, a := range span.Attributes() {
			require.Contains(t, row, "`"+string(a.Key)+"`")
		}
	}
}

func TestARefusalIsAnErrorOfBothSpans(t *testing.T) {
	sink := newRecorder(t)
	sink.answer = func(int, event.Event) int { return http.StatusBadRequest }
	s, recorder := traced(t, sink.URL)
	status, _ := post(s, webhook(1))
	require.Equal(t, http.StatusServiceUnavailable, status)
	requireFailed(t, recorder.Ended(), "sink_refused", "sink_refused")

	s, recorder = traced(t, sink.URL)
	status, _ = post(s, "it burns")
	require.Equal(t, http.StatusBadRequest, status)
	requireFailed(t, recorder.Ended(), "invalid")
}

func requireFailed(t *testing.T, spans []sdktrace.ReadOnlySpan, reasons ...string) {
	t.Helper()
	require.Len(t, spans, len(reasons))
	for i, span := range spans {
		require.Equal(t, sdktrace.Status{Code: codes.Error, Description: reasons[i]}, span.Status())
		require.Empty(t, span.Events())
	}
}

func TestAWrongVariableStopsTheStart(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	_, err := Start(settingsFor(t, "http://127.0.0.1:1"))
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_PROTOCOL")
}
