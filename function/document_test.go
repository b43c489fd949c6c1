package function

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/tracing"
)

var inCode = regexp.MustCompile("`([^`]+)`")

// quoted are the words in code of one cell of a table.
func quoted(cell string) []string {
	var words []string
	for _, match := range inCode.FindAllStringSubmatch(cell, -1) {
		words = append(words, match[1])
	}
	return words
}

// documented is a table of docs/traces-and-logs.md: for each word in code of the first cell, those of the last one.
func documented(t *testing.T, table string, keep func(cells []string) bool) map[string]map[string]bool {
	t.Helper()
	content, err := os.ReadFile("../docs/traces-and-logs.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(content), "<!-- "+table+": held to the code by ")
	require.True(t, found, table)
	rest, _, found = strings.Cut(rest, "<!-- end -->")
	require.True(t, found, table)
	out := map[string]map[string]bool{}
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) < 4 || !keep(cells) {
			continue
		}
		for _, name := range quoted(cells[0]) {
			out[name] = map[string]bool{}
			for _, word := range quoted(cells[len(cells)-1]) {
				out[name][word] = true
			}
		}
	}
	return out
}

func all([]string) bool { return true }

// The documented attributes are those that a life with all its transitions and a refusal has, no more and no fewer.
func TestDocumentationHoldsTheSpans(t *testing.T) {
	core, lines := observer.New(zap.InfoLevel)
	recorder := tracetest.NewSpanRecorder()
	f := New()
	f.log, f.traces = zap.New(core).Sugar(), tracing.Of(recorder)
	startOn(t, f, policiesOf(t, "flush: {min: 100ms, max: 100ms}")...)
	_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "burning"))
	require.Error(t, err)
	life(t, f, lines)
	ended(t, f.traces)

	spans, happened := map[string]map[string]bool{}, map[string]map[string]bool{}
	note := func(of map[string]map[string]bool, name string, attributes []attribute.KeyValue) {
		if of[name] == nil {
			of[name] = map[string]bool{}
		}
		for _, a := range attributes {
			of[name][string(a.Key)] = true
		}
	}
	for _, span := range recorder.Ended() {
		note(spans, span.Name(), span.Attributes())
		for _, e := range span.Events() {
			note(happened, e.Name, e.Attributes)
		}
	}
	assert.Equal(t, documented(t, "spans", func(cells []string) bool { return cells[1] == "function" }), spans)
	assert.Equal(t, documented(t, "happenings", all), happened)
}

// ended adds what a test cannot cause in time: a single end, by time, which a snapshot finds.
func ended(t *testing.T, traces *tracing.Tracing) {
	for _, name := range []string{spanFold, spanProject} {
		_, span := traces.Start(t.Context(), name)
		transitionsOf(
			span,
			[]aggregator.Transition{{Type: aggregator.Closed, Incident: "i", Namespace: "n", Group: "g", Reason: "Quiet"}},
		)
		span.End()
	}
}

// The documented fields are those of the lines.
func TestDocumentationHoldsTheLines(t *testing.T) {
	core, lines := observer.New(zap.DebugLevel)
	f := New()
	f.log = zap.New(core).Sugar()
	startOn(t, f, policiesOf(t, "flush: {min: 100ms, max: 100ms}")...)
	_, err := f.Handle(t.Context(), withTrace(alertEvent(t, "web-0", "burning")))
	require.Error(t, err)
	life(t, f, lines)

	f.stopped.Store(false)
	startOn(t, f)
	require.NoError(t, f.Parts.Redis.Close())
	_, err = f.Handle(t.Context(), withTrace(alertEvent(t, "web-0", "firing")))
	require.Error(t, err)
	require.NoError(t, f.Stop(t.Context()))

	want := documented(t, "lines", all)
	seen := map[string]map[string]bool{}
	for _, line := range lines.All() {
		if want[line.Message] == nil {
			continue
		}
		if seen[line.Message] == nil {
			seen[line.Message] = map[string]bool{}
		}
		for _, field := range line.Context {
			seen[line.Message][field.Key] = true
		}
	}
	// What time causes belongs to no event.
	require.NotContains(t, seen["incident absorbed"], fieldTrace)
	seen["incident absorbed"][fieldTrace] = true
	assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(seen)))
	assert.Equal(t, want, seen)
}
