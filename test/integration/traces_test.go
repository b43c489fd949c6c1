package integration

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/stormfold/stormfold/test/testbed"
)

// tracesTo are the variables for a process that sends its spans soon.
func tracesTo(url string) []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + url,
		"OTEL_BSP_SCHEDULE_DELAY=10",
		"OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
	}
}

// parentOf is a traceparent of a trace of its own, with the ids of trace and span.
func parentOf(n int) (traceparent, trace, span string) {
	trace, span = fmt.Sprintf("4bf92f3577b34da6a3ce929d%08x", n), fmt.Sprintf("00f067aa%08x", n)
	return "00-" + trace + "-" + span + "-01", trace, span
}

// awaitTrace waits until a trace has spans of these names, one each, and returns them by name.
func awaitTrace(t *testing.T, c *testbed.Collector, trace string, names ...string) map[string]testbed.Span {
	t.Helper()
	var spans map[string]testbed.Span
	eventually(t, 30*time.Second, func() error {
		spans = map[string]testbed.Span{}
		n := 0
		for _, span := range c.Spans() {
			if hex.EncodeToString(span.TraceId) == trace {
				spans[span.Name] = span
				n++
			}
		}
		for _, name := range names {
			if spans[name].Span == nil {
				return fmt.Errorf("no span %s in trace %s, which has %d", name, trace, n)
			}
		}
		require.Len(t, names, n)
		return nil
	})
	return spans
}

func requireParent(t *testing.T, parent string, spans ...testbed.Span) {
	t.Helper()
	for _, span := range spans {
		require.Equal(t, parent, hex.EncodeToString(span.ParentSpanId), span.Name)
		require.NotEqual(t, tracepb.Status_STATUS_CODE_ERROR, span.Status.GetCode(), span.Name)
	}
}

func idOf(span testbed.Span) string { return hex.EncodeToString(span.SpanId) }

// TestTraces: whatever names the trace of an event, the function's spans are in it, up to the incident that is written.
func TestTraces(t *testing.T) {
	collector := testbed.Traces(t)
	p := startPod(t, tracesTo(collector.URL)...)
	attribute, trace1, parent1 := parentOf(1)
	header, trace2, parent2 := parentOf(2)
	other, trace3, parent3 := parentOf(4)
	for _, c := range []struct {
		name, trace, parent string
		pairs               []string
	}{
		{"extension", trace1, parent1, []string{"Ce-Traceparent", attribute, "Traceparent", header}},
		{"header", trace2, parent2, []string{"Traceparent", header}},
		{"header, for the extension is malformed", trace3, parent3, []string{"Traceparent", other, "Ce-Traceparent",
			"00-xyz"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, p)
			body, err := json.Marshal(s.alert("PodDown", "web-0", "firing"))
			require.NoError(t, err)
			response, text := exchange(t, http.MethodPost, p.url, ceHeader(typeAlert, c.pairs...), body)
			require.Equal(t, http.StatusOK, response.StatusCode, text)
			spans := awaitTrace(t, collector, c.trace, "event", "decode", "fold", "project")
			requireParent(t, c.parent, spans["event"])
			requireParent(t, idOf(spans["event"]), spans["decode"], spans["fold"], spans["project"])
			require.Equal(t, "stormfold", spans["event"].Service)
			require.Contains(t, attributesOf(spans["project"]), "stormfold.incident="+s.awaitOne(1, 1, 0).Name)
			require.Contains(t, response.Header.Get("Ce-Traceparent"), c.trace, "the reply goes on")
			log, err := p.Log()
			require.NoError(t, err)
			require.Contains(t, log, `"traceId":"`+c.trace+`"`)
		})
	}
}

func attributesOf(span testbed.Span) string {
	var out strings.Builder
	for _, a := range span.Attributes {
		fmt.Fprintf(&out, "%s=%s\n", a.Key, a.Value.GetStringValue())
	}
	return out.String()
}

// TestTracesFromTheWebhook: one trace, from the request of Alertmanager to the incident. What is left is delivered at
// SIGTERM.
func TestTracesFromTheWebhook(t *testing.T) {
	collector := testbed.Traces(t)
	late := []string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + collector.URL + "/v1/traces",
		"OTEL_BSP_SCHEDULE_DELAY=3600000",
	}
	p := startPod(t, late...)
	s := newScene(t, p)
	src := startSource(t, p.url, late...)
	traceparent, trace, parent := parentOf(3)
	body, err := json.Marshal(notification(s.pods("PodDown", 5, "firing")...))
	require.NoError(t, err)
	response, text := exchange(t, http.MethodPost, src.url, map[string]string{"Traceparent": traceparent}, body)
	require.Equal(t, http.StatusOK, response.StatusCode, text)
	s.awaitOne(5, 5, 0)
	require.Empty(t, collector.Spans())
	require.NoError(t, src.Stop())
	require.NoError(t, p.Stop())
	require.NoError(t, src.Wait())
	require.NoError(t, p.Wait())
	spans := awaitTrace(t, collector, trace, "webhook", "send", "event", "decode", "fold", "project")
	requireParent(t, parent, spans["webhook"])
	requireParent(t, idOf(spans["webhook"]), spans["send"])
	requireParent(t, idOf(spans["send"]), spans["event"])
	requireParent(t, idOf(spans["event"]), spans["decode"], spans["fold"], spans["project"])
	require.Equal(t, "stormfold-source", spans["send"].Service)
	require.Equal(t, "stormfold", spans["event"].Service)
}

// TestADeadCollector: it neither delays nor refuses an event, nor keeps the function from stopping in time.
func TestADeadCollector(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // It takes connections and says nothing.
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	for name, url := range map[string]string{
		"silent": "http://" + silent.Addr().String(), "gone": fmt.Sprintf("http://127.0.0.1:%d", testbed.Port(t)),
	} {
		t.Run(name, func(t *testing.T) {
			p := startPod(
				t,
				append(
					tracesTo(url),
					"OTEL_BSP_MAX_QUEUE_SIZE=4",
					"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4",
					"OTEL_EXPORTER_OTLP_TIMEOUT=3600000",
				)...)
			s := newScene(t, p)
			for _, code := range s.atOnce(s.pods("PodDown", 30, "firing")...) {
				require.Equal(t, 2, code/100)
			}
			s.awaitOne(30, 30, 0)
			require.NoError(t, p.Signal(syscall.SIGTERM))
			select {
			case <-p.Done():
				require.NoError(t, p.Wait(), "exit status 0")
			case <-time.After(30 * time.Second):
				t.Fatal("the function waits for its collector")
			}
			log, err := p.Log()
			require.NoError(t, err)
			require.Equal(t, 1, strings.Count(log, "traces cannot be delivered"), "told once")
		})
	}
}
