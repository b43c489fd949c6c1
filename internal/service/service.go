// Package service serves the function over HTTP, for the programs in cmd.
//
// func-go runs the process: it listens, starts and stops the function, and answers the health paths. Everything else is
// an event, which the handler here reads once and hands to the function. func-go's own handler does not limit a
// request's body, and answers 500 to a body that is not an event, which a Trigger delivers again and again. This one
// answers instead:
//
//	405  not a POST
//	413  a body of more than handlers.MaxBody bytes
//	400  not a CloudEvent, or one without a required attribute
//	503  the bodies in progress have as many bytes as a pod may hold
//
// Each answer is one sentence of plain text.
package service

import (
	"context"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/handlers"
)

// Function is what New serves. func-go looks for Start, Stop, Ready and Alive beside it.
type Function interface {
	// Handle takes an event. Its error is one of handlers.Answer.
	Handle(context.Context, event.Event) (*event.Event, error)
	// Refused reports a request that is refused permanently, since a broker makes a dead letter of it. The id is the
	// event's, if there is one.
	Refused(id string, reason handlers.Reason, err error)
	// Traced gives a request's context the trace that its headers name: the event does not have the headers.
	Traced(ctx context.Context, header http.Header) context.Context
}

// New returns func-go's service of a function, with our handler of events.
func New(f Function) *cloudevents.Service {
	s := cloudevents.New(f)
	mux := http.NewServeMux()
	mux.HandleFunc("/health/readiness", s.Ready)
	mux.HandleFunc("/health/liveness", s.Alive)
	mux.Handle("/", newHandler(f))
	s.Handler = mux
	keepConnections(&s.Server)
	return s
}
