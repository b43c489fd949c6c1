package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
)

// taker is a function, or a Broker, that keeps what it takes.
type taker struct {
	*httptest.Server
	answer func(n int, ev event.Event) int

	mu   sync.Mutex
	seen []event.Event
}

func newTaker(t *testing.T, answer func(n int, ev event.Event) int) *taker {
	t.Helper()
	k := &taker{answer: answer}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev, err := cehttp.NewEventFromHTTPRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.seen = append(k.seen, *ev)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(k.answer(len(k.seen), *ev))
		_, _ = fmt.Fprintf(w, "said of %s\n", ev.ID())
	}))
	t.Cleanup(k.Close)
	return k
}

// letterLine is a line of the dead letter sink.
func letterLine(id, size string) string {
	return `{"specversion":"1.0","id":"` + id +
		`","source":"/am","type":"io.prometheus.alertmanager.notification.v1","datacontenttype":"application/json",` +
		`"time":"2026-03-01T10:16:00Z","data":{"version":"4","alerts":[{"status":"resolved","labels":{"alertname":"A","pod":"` + id + `"},"annotations":{"x":"` + size +
		`"},"startsAt":"2026-03-01T10:15:00Z"}]},"knativeerrorcode":"503","knativeerrordata":"redis_unavailable: x","knativearrivaltime":"2026-03-01T10:16:00.5Z"}`
}

// TestRedeliver: whatever else is in the log, every event is sent until it is taken, with its own id and time.
func TestRedeliver(t *testing.T) {
	taker := newTaker(t, func(n int, ev event.Event) int {
		switch {
		case n == 1:
			return http.StatusServiceUnavailable
		case n == 2:
			return http.StatusTemporaryRedirect
		case ev.ID() == "bad":
			return http.StatusBadRequest
		}
		return http.StatusAccepted
	})
	log := "dead-letters starts\n" + letterLine("1", "") + "\n\n2026-03-01T10:35:00Z " + letterLine(
		"2",
		strings.Repeat("x", 100<<10),
	) + "\n{\"level\":\"info\"}\n"
	got := call(t, log, "redeliver", "--to", taker.URL, "-")
	require.Equal(t, exitOK, got.code, got.err)
	require.Equal(t, "2 events sent, 0 refused permanently, 0 without data, 3 lines skipped that are not events.\n",
		got.err)
	require.Empty(t, got.out)
	require.Len(t, taker.seen, 4, "two attempts that failed, and two that did not")
	for i, id := range []string{"1", "1", "1", "2"} {
		ev := taker.seen[i]
		require.Equal(t, id, ev.ID())
		require.Equal(t, map[string]any{"knativearrivaltime": "2026-03-01T10:16:00.5Z"}, ev.Extensions())
		request, err := handlers.Decode(ev, time.Now())
		require.NoError(t, err)
		require.Equal(t, time.Date(2026, 3, 1, 10, 16, 0, 0, time.UTC), request.NotifiedAt)
		require.Equal(t, aggregator.Resolved, request.Batch.Alerts[0].Status)
	}

	file := filepath.Join(t.TempDir(), "log")
	dropped := strings.Replace(letterLine("large", ""), `"knativeerrorcode"`,
		`"datadropped":2000000,"knativeerrorcode"`, 1)
	require.NoError(t, os.WriteFile(file, []byte(letterLine("bad", "")+"\n"+dropped+"\n"+letterLine("3", "")), 0o600))
	got = call(t, "", "redeliver", "--to", taker.URL, file)
	require.Equal(t, exitError, got.code)
	require.Equal(t, file+":1: event bad is refused permanently: said of bad\n"+
		file+":2: event large was too large, so the log does not have its data\n"+
		"1 event sent, 1 refused permanently, 1 without data, 0 lines skipped that are not events.\n"+
		"kubectl stormfold: 2 events not accepted\n", got.err)
}

func TestRedeliverThatCannot(t *testing.T) {
	taker := newTaker(t, func(int, event.Event) int { return http.StatusServiceUnavailable })
	got := call(t, letterLine("1", "")+"\n"+letterLine("2", ""), "redeliver", "--to", taker.URL, "--patience", "1ms",
		"-")
	require.Equal(t, exitError, got.code)
	require.Contains(t, got.err, "0 events sent")
	require.Contains(
		t,
		got.err,
		"standard input:1: event 1 could not be delivered; run the command again, which is safe: the answer was 503: said of 1",
	)
	require.Len(t, taker.seen, 1)
	for args, want := range map[string]string{
		"redeliver -":                                "redeliver needs --to, the URL of the Broker or of the function",
		"redeliver --to stormfold -":                 `--to "stormfold" is not an http or https URL`,
		"redeliver --to http://x":                    "redeliver needs the file of a log, or - for the standard input",
		"redeliver --to http://x - -":                "the standard input can be read only once",
		"redeliver --to http://x --patience 0s -":    "--patience 0s is not a positive duration",
		"redeliver --to http://x /nowhere":           "/nowhere cannot be read: no such file or directory",
		"redeliver --to http://127.0.0.1:1/secret -": "it contains no events",
	} {
		got := call(t, "nothing", strings.Fields(args)...)
		require.NotEqual(t, exitOK, got.code, args)
		require.Contains(t, got.err, want)
	}
}
