package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func post(t *testing.T, h http.Handler, body string, header ...string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

var attributes = []string{
	"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Type", "t", "Ce-Source", "/s", "Ce-Knativeerrorcode", "400",
	"Ce-Knativeerrordata", "alerts[0].labels: is missing", "Content-Type", "application/json",
}

func TestWritesEventsAsLines(t *testing.T) {
	var out bytes.Buffer
	h := handler(&out, newMetrics())
	require.Equal(t, http.StatusAccepted, post(t, h, `{"a": "b\nc"}`, attributes...))
	require.Equal(t, http.StatusAccepted, post(t, h, "not\njson", append(attributes, "Content-Type", "text/plain")...))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	require.JSONEq(
		t,
		`{"specversion":"1.0","id":"1","type":"t","source":"/s","datacontenttype":"application/json","data":{"a":"b\nc"},
		"knativeerrorcode":"400","knativeerrordata":"alerts[0].labels: is missing"}`,
		lines[0],
	)

	// A line can be sent again.
	again := out.String()
	out.Reset()
	for _, line := range strings.SplitAfter(strings.TrimSpace(again), "\n") {
		require.Equal(t, http.StatusAccepted, post(t, h, line, "Content-Type", "application/cloudevents+json"))
	}
	require.Equal(t, again, out.String())
}

// TestLargeData: an event whose data is not JSON, or too large for a line, loses at most its data.
func TestLargeData(t *testing.T) {
	for name, body := range map[string]string{"large": `"` + strings.Repeat("x", maxLine) + `"`, "no JSON": `{"a":`} {
		var out bytes.Buffer
		require.Equal(t, http.StatusAccepted, post(t, handler(&out, newMetrics()), body, attributes...), name)
		require.Less(t, out.Len(), 1024)
		var ev map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &ev), name)
		require.InEpsilon(t, float64(len(body)), ev["datadropped"], 0)
		require.Equal(t, "400", ev["knativeerrorcode"])
	}
}

func TestRefuses(t *testing.T) {
	var out bytes.Buffer
	require.Equal(t, http.StatusBadRequest, post(t, handler(&out, newMetrics()), `{}`))
	require.Equal(
		t,
		http.StatusBadRequest,
		post(t, handler(&out, newMetrics()), strings.Repeat("x", maxBody+1), attributes...),
	)
	require.Empty(t, out.String())
	require.Equal(t, http.StatusServiceUnavailable, post(t, handler(broken{}, newMetrics()), `{}`, attributes...))
}

// What is held in memory at once is bounded in bytes: a body beyond that is refused before it is kept, to come again.
func TestBodiesInProgressAreBounded(t *testing.T) {
	out := stuck{began: make(chan struct{}), end: make(chan struct{})}
	h := handler(out, newMetrics())
	done := make(chan int)
	go func() { done <- post(t, h, strings.Repeat("x", maxBodies), attributes...) }()
	<-out.began
	require.Equal(t, http.StatusServiceUnavailable, post(t, h, `{}`, attributes...))
	close(out.end)
	require.Equal(t, http.StatusAccepted, <-done)
	go func() { <-out.began }()
	require.Equal(t, http.StatusAccepted, post(t, h, `{}`, attributes...))
}

// stuck is a writer that does not end before it is told.
type stuck struct{ began, end chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	s.began <- struct{}{}
	<-s.end
	return len(p), nil
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }
