package tracing

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is a receiver of OTLP by HTTP that reads what real ones read.
type collector struct {
	*httptest.Server
	// answer is the status for the n-th request, counted from 1.
	answer func(n int) int

	mu       sync.Mutex
	requests []*http.Request
	received []*tracepb.ResourceSpans
}

func newCollector(t *testing.T, answer func(n int) int) *collector {
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	raw, err := io.ReadAll(body)
	var request collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &request)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	status := c.answer(len(c.requests))
	if status == http.StatusOK {
		c.received = append(c.received, request.ResourceSpans...)
	}
	w.WriteHeader(status)
}

func always(status int) func(int) int { return func(int) int { return status } }

// environ sets variables, pairs of name and value, and clears all others of OpenTelemetry's that a test could inherit.
func environ(t *testing.T, pairs ...string) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SERVICE_NAME",
		"OTEL_RESOURCE_ATTRIBUTES",
	} {
		t.Setenv(name, "")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		t.Setenv(pairs[i], pairs[i+1])
	}
}

// told keeps what Failing was told.
type told struct {
	mu   sync.Mutex
	errs []error
}

func (f *told) tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *told) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]error(nil), f.errs...)
}

func started(t *testing.T) (*Tracing, *told) {
	t.Helper()
	f := &told{}
	tracing, err := Start(Options{Service: "test", Version: "v1", Failing: f.tell})
	require.NoError(t, err)
	require.True(t, tracing.On())
	return tracing, f
}

func one(tracing *Tracing, name string) {
	_, span := tracing.Start(context.Background(), name)
	span.End()
}

func TestSpansReachACollector(t *testing.T) {
	for _, compression := range []string{"none", "gzip"} {
		c := newCollector(t, always(http.StatusOK))
		environ(
			t,
			"OTEL_EXPORTER_OTLP_ENDPOINT",
			c.URL+"/base/",
			"OTEL_EXPORTER_OTLP_COMPRESSION",
			compression,
			"OTEL_EXPORTER_OTLP_HEADERS",
			"authorization=Bearer%20x, tenant=a",
			"OTEL_RESOURCE_ATTRIBUTES",
			"service.name=lost,k8s.pod.name=pod-0",
			"OTEL_SERVICE_NAME",
			"named",
			"OTEL_EXPORTER_OTLP_PROTOCOL",
			"http/protobuf",
		)
		tracing, failing := started(t)
		one(tracing, "first")
		tracing.Stop()
		require.Empty(t, failing.all())
		require.Len(t, c.requests, 1)
		require.Equal(t, "/base/v1/traces", c.requests[0].URL.Path)
		require.Equal(t, "Bearer x", c.requests[0].Header.Get("Authorization"))
		require.Equal(t, "a", c.requests[0].Header.Get("Tenant"))
		require.Len(t, c.received, 1)
		resource := map[string]string{}
		for _, a := range c.received[0].Resource.Attributes {
			resource[a.Key] = a.Value.GetStringValue()
		}
		require.Equal(t, "named", resource["service.name"])
		require.Equal(t, "v1", resource["service.version"])
		require.Equal(t, "pod-0", resource["k8s.pod.name"])
		require.Equal(t, "first", c.received[0].ScopeSpans[0].Spans[0].Name)
	}
}

// The endpoint for traces is meant as it stands, and comes before the one for all signals.
func TestTheEndpointForTracesIsTheWholeURL(t *testing.T) {
	c := newCollector(t, always(http.StatusOK))
	environ(t, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.URL+"/here")
	tracing, _ := started(t)
	one(tracing, "first")
	tracing.Stop()
	require.Len(t, c.requests, 1)
	require.Equal(t, "/here", c.requests[0].URL.Path)
}

// A collector that cannot take a batch now gets it again; one that never will does not. Each failure is told once.
func TestABatchIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answer           func(n int) int
		requests, failed int
	}{
		"later":            {func(n int) int { return map[bool]int{true: 503, false: 200}[n == 1] }, 2, 0},
		"never":            {always(http.StatusBadRequest), 1, 1},
		"a redirect":       {always(http.StatusTemporaryRedirect), 1, 1},
		"not implemented":  {always(http.StatusInternalServerError), 1, 1},
		"too many, at end": {func(n int) int { return map[bool]int{true: 429, false: 200}[n <= 2] }, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := newCollector(t, c.answer)
			f := &told{}
			client := newClient(&environment{endpoint: receiver.URL, timeout: 10 * time.Second}, f.tell)
			require.NoError(t, client.UploadTraces(t.Context(), nil))
			require.Len(t, receiver.requests, c.requests)
			require.Len(t, f.all(), c.failed)
			require.NoError(t, client.UploadTraces(t.Context(), nil))
			require.Len(t, f.all(), c.failed, "told once")
		})
	}
}

func TestThatItWorksAgainIsTold(t *testing.T) {
	receiver := newCollector(t, func(n int) int { return map[bool]int{true: 400, false: 200}[n <= 2] })
	f := &told{}
	client := newClient(&environment{endpoint: receiver.URL, timeout: 10 * time.Second}, f.tell)
	for range 4 {
		require.NoError(t, client.UploadTraces(t.Context(), nil))
	}
	require.Len(t, f.all(), 2)
	require.ErrorContains(t, f.all()[0], "400")
	require.NoError(t, f.all()[1])
}

// A collector that takes connections and never answers, and one that is not there, cost nobody any time but the stop,
// and that has a bound.
func TestADeadCollectorHoldsNothingUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for name, address := range map[string]string{"silent": silent.Addr().String(), "gone": gone.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			environ(
				t,
				"OTEL_EXPORTER_OTLP_ENDPOINT",
				"http://"+address,
				"OTEL_EXPORTER_OTLP_TIMEOUT",
				"3600000",
				"OTEL_BSP_SCHEDULE_DELAY",
				"1",
				"OTEL_BSP_MAX_QUEUE_SIZE",
				"16",
				"OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
				"16",
			)
			tracing, failing := started(t)
			var ended atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 10000 { // Many times what the queue holds.
					one(tracing, "dropped")
					ended.Add(1)
				}
			}()
			select {
			case <-done:
			case <-time.After(time.Minute): // Far less than the collector's hour.
				t.Fatalf("spans wait for the collector: only %d ended", ended.Load())
			}
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				tracing.Stop()
			}()
			select {
			case <-stopped:
			case <-time.After(10 * flushWithin):
				t.Fatal("the stop waits for the collector")
			}
			require.NotEmpty(t, failing.all())
			require.Error(t, failing.all()[0])
			require.NotContains(t, failing.all()[0].Error(), "http://", "the URL may hold a password")
		})
	}
}
