package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/sync/semaphore"

	"github.com/stormfold/stormfold/handlers"
)

// maxBodies is the most that the bodies in progress may have together, in bytes. Reading and decoding an event takes
// some times its size; with this much the function stays below half of the 256 MiB that deploy/function gives it.
const maxBodies = 16 << 20

// handler reads events from requests and answers with what the function says.
type handler struct {
	function Function
	bodies   *semaphore.Weighted
}

func newHandler(f Function) *handler {
	return &handler{function: f, bodies: semaphore.NewWeighted(maxBodies)}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, fmt.Sprintf("send CloudEvents with POST, not %s", r.Method), http.StatusMethodNotAllowed)
		return
	}
	size := min(r.ContentLength, handlers.MaxBody)
	if size < 0 {
		size = handlers.MaxBody // The header does not say.
	}
	if !h.bodies.TryAcquire(size) { // Before anything of it is kept.
		// An answer in the middle of a body closes the connection. A proxy that still sends may answer 502 then.
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, handlers.MaxBody))
		http.Error(w, string(handlers.ReasonOverload)+": the events in progress are too large, deliver it again",
			http.StatusServiceUnavailable)
		return
	}
	defer h.bodies.Release(size)
	ev, refused := read(w, r)
	if refused != nil {
		h.function.Refused(refused.id, refused.reason, refused)
		http.Error(w, refused.Error(), refused.status)
		return
	}
	// A sender that gives up does not cancel the work: a canceled fold could leave a lease that no pod uses. The
	// function has a time limit of its own.
	ctx := h.function.Traced(context.WithoutCancel(r.Context()), r.Header)
	reply, err := h.function.Handle(ctx, *ev)
	switch {
	case err != nil:
		status, text := http.StatusInternalServerError, err.Error()
		if result := (*cehttp.Result)(nil); errors.As(err, &result) {
			status, text = result.StatusCode, fmt.Sprintf(result.Format, result.Args...)
		}
		http.Error(w, text, status)
	case reply != nil:
		// It fails where the sender has gone. Replies are best effort.
		_ = cehttp.WriteResponseWriter(ctx, (*binding.EventMessage)(reply), http.StatusOK, w)
	}
}
