// Command noop is a function that does nothing, served by func-go alone: what a function costs on its own.
//
//	noop            # answer every event at once
//	noop -decode    # decode its alerts first, and answer
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/handlers"
)

type noop struct{ decode bool }

func (n *noop) Handle(_ context.Context, ev event.Event) (*event.Event, error) {
	if !n.decode {
		return nil, nil
	}
	_, err := handlers.Decode(ev, time.Now())
	return nil, handlers.Answer(err)
}

// withoutCancel keeps a request's end from its receiver. The SDK hands requests over a channel, and one whose
// message another's receiver took would cancel its own, upon which some request waits for ever.
func withoutCancel(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	})
}

func main() {
	decode := flag.Bool("decode", false, "decode the alerts of each event")
	flag.Parse()
	cloudevents.SetLogLevel(cloudevents.LogInfo)
	s := cloudevents.New(&noop{decode: *decode})
	s.Handler = withoutCancel(s.Handler)
	if err := s.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "noop:", err)
		os.Exit(1)
	}
}
