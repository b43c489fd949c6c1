package source

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
)

// largeWebhook is a notification of n alerts of about that size, written as it is read.
func largeWebhook(n, size int) io.Reader {
	r, w := io.Pipe()
	go func() {
		whole := aWebhook("")
		head, rest, _ := strings.Cut(whole, `"alerts":[`)
		_, err := io.WriteString(w, head+`"alerts":[`)
		for i := 0; i < n && err == nil; i++ {
			if i > 0 {
				_, err = io.WriteString(w, ",")
			}
			if err == nil {
				_, err = io.WriteString(w, anAlert(i, size))
			}
		}
		if err == nil {
			_, err = io.WriteString(w, rest)
		}
		_ = w.CloseWithError(err)
	}()
	return r
}

// TestAStormOfTenThousand: 41 MB of alerts pass in little memory, every event has the fields after the alerts, and no
// file is left.
func TestAStormOfTenThousand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	const alerts, size = 10_000, 4 << 10
	var events, taken atomic.Int64
	var most atomic.Uint64
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev, err := cehttp.NewEventFromHTTPRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		data := string(ev.Data())
		if !strings.Contains(data, `"truncatedAlerts":7`) || ev.Source() != "http://alertmanager.example:9093" ||
			ev.Extensions()["partitionkey"] == nil {
			http.Error(w, "it is not complete", http.StatusBadRequest)
			return
		}
		taken.Add(int64(strings.Count(data, `"startsAt"`)))
		if events.Add(1)%50 == 0 {
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			most.Store(max(most.Load(), now.HeapAlloc))
		}
	}))
	defer sink.Close()
	s := newSource(t, sink.URL, prefix+"REQUEST_TIMEOUT", "2m")
	r := httptest.NewRequest(http.MethodPost, "/", largeWebhook(alerts, size))
	r.ContentLength = -1
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.EqualValues(t, alerts, taken.Load())
	require.Greater(t, events.Load(), int64(600))
	grown := int64(most.Load()) - int64(before.HeapAlloc)
	t.Logf("%d events, the heap grew by %.1f MiB", events.Load(), float64(grown)/(1<<20))
	require.Less(t, grown, int64(8<<20))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestABodyThatCannotBeKept is refused for now; a small one needs no file.
func TestABodyThatCannotBeKept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/none")
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	code, text := post(s, aWebhook(many(400, 4<<10)...))
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, text, "the body cannot be written to a file in TMPDIR")
	require.InDelta(t, 1, valueOf(t, s.metrics.notifications["spool"]), 0)
	require.Empty(t, sink.accepted())
	code, text = post(s, aWebhook(many(200, 4<<10)...))
	require.Equal(t, http.StatusOK, code, text)
}

// TestAValueIsRefusedBeforeItsEnd: what has no end fills neither memory nor disk.
func TestAValueIsRefusedBeforeItsEnd(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	body := &endless{from: strings.NewReader(`{"version":"4","alerts":[{"status":"`)}
	r := httptest.NewRequest(http.MethodPost, "/", body)
	r.ContentLength = -1
	w := httptest.NewRecorder()
	start := time.Now()
	s.ServeHTTP(w, r)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code, fmt.Sprint(time.Since(start)))
	require.Less(t, body.read, 5<<20)
}

// endless never ends.
type endless struct {
	from io.Reader
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.from.Read(p)
	if err == io.EOF {
		for i := range p {
			p[i] = 'x'
		}
		n = len(p)
	}
	e.read += n
	return n, nil
}
