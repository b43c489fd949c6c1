package tracing

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

const endpoint, somewhere = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"

func TestOffUnlessAnEndpointIsNamed(t *testing.T) {
	for name, pairs := range map[string][]string{
		"nothing":      nil,
		"no endpoint":  {"OTEL_TRACES_EXPORTER", "otlp", "OTEL_SERVICE_NAME", "x", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		"empty":        {endpoint, ""},
		"disabled":     {endpoint, somewhere, "OTEL_SDK_DISABLED", "TRUE"},
		"no exporter":  {endpoint, somewhere, "OTEL_TRACES_EXPORTER", "none"},
		"other signal": {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", somewhere},
	} {
		t.Run(name, func(t *testing.T) {
			environ(t, pairs...)
			tracing, err := Start(Options{Service: "test"})
			require.NoError(t, err)
			require.Nil(t, tracing)
			require.False(t, tracing.On())
			ctx, span := tracing.Start(t.Context(), "nothing")
			require.False(t, span.IsRecording())
			require.Equal(t, t.Context(), ctx)
			tracing.Stop()
		})
	}
}

// Nothing global is set, on or off: other libraries make no spans because of it.
func TestNoGlobalProviderIsInstalled(t *testing.T) {
	before := otel.GetTracerProvider()
	environ(t, endpoint, somewhere)
	tracing, _ := started(t)
	defer tracing.Stop()
	require.Same(t, before, otel.GetTracerProvider())
	_, span := otel.Tracer("another").Start(t.Context(), "nothing")
	require.False(t, span.IsRecording())
}

func TestAWrongVariableIsNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, c := range []struct{ key, value, says string }{
		{"OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER: "zipkin" is not otlp or none`},
		{endpoint, "collector:4318", endpoint + ": it is not an http or https URL"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://user:secret@collector",
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: it is not an http or https URL"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc",
			`OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported; use http/protobuf`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json",
			`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" is not supported`},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", `OTEL_EXPORTER_OTLP_TIMEOUT: "10s" is not a number of milliseconds`},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", `OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" is not gzip or none`},
		{"OTEL_EXPORTER_OTLP_HEADERS", "Bearer secret", "OTEL_EXPORTER_OTLP_HEADERS: it is not a list like"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%0Asecret", "OTEL_EXPORTER_OTLP_HEADERS: it is not a list like"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", empty, "OTEL_EXPORTER_OTLP_CERTIFICATE: there is no PEM certificate"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", empty,
			"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: it does not match OTEL_EXPORTER_OTLP_CLIENT_KEY"},
		{"OTEL_TRACES_SAMPLER", "sometimes", `OTEL_TRACES_SAMPLER: "sometimes" is not always_on`},
		{"OTEL_RESOURCE_ATTRIBUTES", "pod", "OTEL_RESOURCE_ATTRIBUTES: it is not a list like"},
	} {
		environ(t, endpoint, somewhere, c.key, c.value)
		tracing, err := Start(Options{Service: "test"})
		require.ErrorContains(t, err, c.says)
		require.NotContains(t, err.Error(), "secret")
		require.Nil(t, tracing)
		t.Setenv(c.key, "")
	}
}

func TestSamplers(t *testing.T) {
	remote := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	for _, c := range []struct {
		name, arg  string
		root, goOn bool
	}{
		{"", "", true, true},
		{"always_on", "", true, true},
		{"always_off", "", false, false},
		{"parentbased_always_off", "", false, true},
		{"traceidratio", "0", false, false},
		{"parentbased_traceidratio", "0", false, true},
		{"parentbased_traceidratio", "", true, true},
	} {
		environ(t, endpoint, somewhere, "OTEL_TRACES_SAMPLER", c.name, "OTEL_TRACES_SAMPLER_ARG", c.arg)
		tracing, _ := started(t)
		_, root := tracing.Start(context.Background(), "root")
		_, child := tracing.Start(remote, "child")
		require.Equal(t, c.root, root.IsRecording(), c.name)
		require.Equal(t, c.goOn, child.IsRecording(), c.name)
		tracing.Stop() // Neither span has ended: there is nothing to deliver.
	}
	for _, arg := range []string{"2", "-1", "NaN", "ten"} {
		_, err := samplerOf("traceidratio", arg)
		require.ErrorContains(t, err, "OTEL_TRACES_SAMPLER_ARG")
	}
}
