package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/sync/semaphore"
)

const (
	// maxBody is more than the function accepts: what it refuses as too large arrives here.
	maxBody = 8 << 20
	// maxBodies is the maximum of all bodies in progress, in bytes: reading and writing an event takes a few times its
	// size, and the pod has 64 MiB.
	maxBodies = maxBody
	// maxLine is the maximum length of a line, in bytes: the source's events have 64 KiB and their attributes. Container
	// runtimes split lines of more than 16 KiB, and kubectl logs joins them.
	maxLine = 1 << 20
)

// handler receives events and writes each to a writer, as one line.
func handler(out io.Writer, m *metrics) http.Handler {
	var writing sync.Mutex
	bodies := semaphore.NewWeighted(maxBodies)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		size := min(r.ContentLength, maxBody)
		if size < 0 {
			size = maxBody // The header does not say.
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if !bodies.TryAcquire(size) { // Before anything of it is kept. A Broker retries dead letters, too.
			_, _ = io.Copy(io.Discard, r.Body) // An answer in the middle of a body would break the connection.
			http.Error(w, "too many bytes of events are being written, deliver it again", http.StatusServiceUnavailable)
			return
		}
		defer bodies.Release(size)
		ev, err := cehttp.NewEventFromHTTPRequest(r)
		if err == nil {
			err = ev.Validate()
		}
		if err != nil {
			m.refused.WithLabelValues("invalid").Inc()
			http.Error(w, "the request is not a CloudEvent", http.StatusBadRequest)
			return
		}
		written, err := line(*ev)
		if err == nil {
			writing.Lock()
			_, err = out.Write(written)
			writing.Unlock()
		}
		if err != nil {
			m.refused.WithLabelValues("error").Inc()
			http.Error(w, "the event cannot be written: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		m.wrote(*ev)
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// line is an event as one line. Data that is too large is left out, and the line has its size in datadropped.
func line(ev event.Event) ([]byte, error) {
	if len(ev.Data()) <= maxLine {
		if written, err := json.Marshal(ev); err == nil && len(written) <= maxLine {
			return append(written, '\n'), nil
		}
	}
	short := event.Event{Context: ev.Context.Clone()}
	short.SetExtension("datadropped", len(ev.Data()))
	written, err := json.Marshal(short)
	return append(written, '\n'), err
}
