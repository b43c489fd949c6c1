// Package service is func-go's CloudEvents service with a guard in front, for the programs in cmd.
//
// func-go puts no bound on a request's body, and its CloudEvents receiver answers 500 to a body that is not an event, which a
// Trigger would deliver again and again. The guard answers both before the receiver sees them:
//
//	405  not a POST
//	413  a body of more than MaxBody bytes
//	400  not a CloudEvent, or one without a required attribute
//	503  as many bytes of bodies as a pod may hold are being worked on already
//
// Each answer is one sentence of plain text. The function logs the last two: a broker makes dead letters of such events.
package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/sync/semaphore"
	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/handlers"
)

// MaxBody is the most that a request's body may have, in bytes.
const MaxBody = 4 << 20

// MaxBodies is the most that the bodies in progress may have together, in bytes. Reading and decoding an event takes about six
// times its size; with this much the function stays below half of the 256 MiB that deploy/function gives it.
const MaxBodies = 16 << 20

// listener is a function that logs and counts requests that never reach it.
type listener interface {
	// Refused reports why a request is refused permanently. The id is the event's, if there is one.
	Refused(id string, reason handlers.Reason, err error)
}

// tracer is a function that goes on with the trace of a request: the event alone does not tell it of the headers.
type tracer interface {
	// Traced gives a request's context the trace that its headers name.
	Traced(ctx context.Context, header http.Header) context.Context
}

// hooks are what a function wants to know of requests.
type hooks struct {
	refused func(id string, reason handlers.Reason, err error)
	traced  func(ctx context.Context, header http.Header) context.Context
}

// New returns func-go's service of a function, behind the guard.
func New(f any) *cloudevents.Service {
	s := cloudevents.New(f)
	h := hooks{
		refused: func(string, handlers.Reason, error) {},
		traced:  func(ctx context.Context, _ http.Header) context.Context { return ctx },
	}
	if l, ok := f.(listener); ok {
		h.refused = l.Refused
	}
	if t, ok := f.(tracer); ok {
		h.traced = t.Traced
	}
	s.Handler = guard(s.Handler, h)
	keepConnections(&s.Server)
	return s
}

// guard lets through to next what is a CloudEvent, and the health paths.
func guard(next http.Handler, to hooks) http.Handler {
	bodies := semaphore.NewWeighted(MaxBodies)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/health/") {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, fmt.Sprintf("CloudEvents come by POST, not %s", r.Method), http.StatusMethodNotAllowed)
			return
		}
		refuse := func(id string, err error, reason handlers.Reason, status int) {
			to.refused(id, reason, err)
			http.Error(w, err.Error(), status)
		}
		size := min(r.ContentLength, MaxBody)
		if size < 0 {
			size = MaxBody // Not said.
		}
		if !bodies.TryAcquire(size) { // Before anything of it is read.
			http.Error(w, string(handlers.ReasonOverload)+": too many bytes of events are being worked on, deliver it again",
				http.StatusServiceUnavailable)
			return
		}
		defer bodies.Release(size)
		body, err := read(w, r)
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			refuse(r.Header.Get("Ce-Id"), fmt.Errorf("the body is larger than %d bytes", tooLarge.Limit),
				handlers.ReasonTooLarge, http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			refuse(r.Header.Get("Ce-Id"), fmt.Errorf("the body cannot be read: %w", err), handlers.ReasonInvalid, http.StatusBadRequest)
			return
		}
		if id, err := check(r, body); err != nil {
			refuse(id, err, handlers.ReasonInvalid, http.StatusBadRequest)
			return
		}
		// The receiver hands requests over a channel, and one whose client has gone would leave another without a
		// receiver. What an event may take is the function's own request timeout.
		ctx := to.traced(context.WithoutCancel(r.Context()), r.Header)
		next.ServeHTTP(w, with(r.WithContext(ctx), body))
	})
}

// read reads the body, or as much as it takes to know that it is too large.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, &http.MaxBytesError{Limit: MaxBody}
	}
	// With room for one more reading, which finds the end.
	body := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	return body.Bytes(), err
}

// check says in one sentence why a request is no event, and which event it is, as far as that can be told.
func check(r *http.Request, body []byte) (id string, err error) {
	looked := *r
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents") {
		body = nil // The attributes are headers; the receiver reads the data.
	}
	event, err := cehttp.NewEventFromHTTPRequest(with(&looked, body))
	switch {
	case errors.Is(err, binding.ErrUnknownEncoding):
		return r.Header.Get("Ce-Id"), errors.New("the request is not a CloudEvent: it has neither a ce-specversion header nor the content type application/cloudevents+json")
	case err != nil:
		return r.Header.Get("Ce-Id"), fmt.Errorf("the request is not a CloudEvent: %s", oneLine(err))
	}
	if err := event.Validate(); err != nil {
		return event.ID(), fmt.Errorf("the CloudEvent is not valid: %s", oneLine(err))
	}
	return event.ID(), nil
}

// with gives a request the body that was read from it.
func with(r *http.Request, body []byte) *http.Request {
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}

// maxSaid is how much of an error is repeated, in bytes: the SDK's hold what was sent, as long as that may be.
const maxSaid = 300

// oneLine joins the lines of an error, since the SDK writes one for each attribute, and cuts what is too long for a sentence.
func oneLine(err error) string {
	said := strings.Join(strings.FieldsFunc(err.Error(), unicode.IsControl), "; ")
	if len(said) > maxSaid {
		said = said[:maxSaid] + "…"
	}
	return strings.ToValidUTF8(said, "\uFFFD")
}
