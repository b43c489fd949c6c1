package source

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// recorder is a sink that keeps what it accepts.
type recorder struct {
	*httptest.Server

	mu     sync.Mutex
	events []event.Event
	seen   int
	// answer is the status for the n-th event, counted from 1; nil accepts all.
	answer func(n int, ev event.Event) int
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	ev, err := cehttp.NewEventFromHTTPRequest(request)
	if err == nil {
		err = ev.Validate()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.seen++
	n, answer := r.seen, r.answer
	r.mu.Unlock()
	status := http.StatusAccepted
	if answer != nil {
		status = answer(n, *ev)
	}
	if status/100 == 2 {
		r.mu.Lock()
		r.events = append(r.events, *ev)
		r.mu.Unlock()
	}
	w.WriteHeader(status)
	if status/100 != 2 {
		_, _ = fmt.Fprintf(w, "no room\nfor event %d", n)
	}
}

func (r *recorder) accepted() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]event.Event(nil), r.events...)
}

// settingsFor are the defaults with that sink and these changes, pairs of key and value.
func settingsFor(t testing.TB, sink string, pairs ...string) *Settings {
	t.Helper()
	environ := map[string]string{
		sinkKey:              sink,
		addressKey:           "127.0.0.1:0",
		metricsKey:           "127.0.0.1:0",
		prefix + "LOG_LEVEL": "error",
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		environ[pairs[i]] = pairs[i+1]
	}
	settings, err := Parse(environ)
	require.NoError(t, err)
	return settings
}

func newSource(t testing.TB, sink string, pairs ...string) *Source {
	t.Helper()
	s, err := New(settingsFor(t, sink, pairs...), zap.NewNop().Sugar())
	require.NoError(t, err)
	return s
}

// post hands a webhook to a handler.
func post(s http.Handler, body string, header ...string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// send posts a webhook to a server's URL.
func send(ctx context.Context, client *http.Client, url, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(text)), err
}

// anAlert is the i-th alert, whose document has about that many bytes.
func anAlert(i, size int) string {
	alert := fmt.Sprintf(
		`{"status":"firing","labels":{"alertname":"PodDown","pod":"web-%d","html":"<&>"},"annotations":{"text":%%q},`+
			`"startsAt":"2026-03-01T10:15:30.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/g?a=1\u0026b=2","later":[{"x":1}]}`,
		i,
	)
	return fmt.Sprintf(alert, strings.Repeat("x", max(0, size-len(alert))))
}

// aWebhook is the document with these alerts, as Alertmanager 0.34 writes it.
func aWebhook(alerts ...string) string {
	return `{"receiver":"stormfold","status":"firing","alerts":[` + strings.Join(
		alerts,
		",",
	) + `],"notification_reason":"repeat",` +
		`"groupLabels":{"alertname":"PodDown"},"commonLabels":{"alertname":"PodDown"},"commonAnnotations":{},"routeLabels":{},` +
		`"externalURL":"http://alertmanager.example:9093","version":"4","groupKey":"{}:{alertname=\"PodDown\"}","truncatedAlerts":7}` + "\n"
}

// alertsOf are the alerts of the events, in order, byte for byte.
func alertsOf(t testing.TB, events []event.Event) []string {
	t.Helper()
	var out []string
	for _, ev := range events {
		var document struct{ Alerts []json.RawMessage }
		require.NoError(t, json.Unmarshal(ev.Data(), &document))
		for _, alert := range document.Alerts {
			out = append(out, string(alert))
		}
	}
	return out
}

func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, time.Millisecond)
}

func assertOneSentence(t testing.TB, text string) {
	t.Helper()
	assert.NotEmpty(t, text)
	assert.NotContains(t, text, "\n")
}

// valueOf is what a counter or gauge stands at.
func valueOf(t testing.TB, metric prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, metric.Write(&m))
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// quiet is for servers whose clients fail on purpose.
var quiet = log.New(io.Discard, "", 0)
