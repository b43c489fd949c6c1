// Command dead-letters accepts events that could not be delivered and writes each to its standard output, as one line
// of JSON. A line is a whole CloudEvent, with Knative's attributes about the destination and the error
// (knativeerrordest, knativeerrorcode, knativeerrordata), and can be sent again unchanged.
//
//	dead-letters           # serve on ADDRESS, by default :8080, and metrics on METRICS_ADDRESS, by default :9466, until
//	                         SIGTERM
//	dead-letters version   # print the version
//	dead-letters help
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/stormfold/stormfold/internal/version"
)

const usage = `usage: dead-letters            receive events and write each to the standard output, as one line of JSON
       dead-letters version    print the version

The environment variable ADDRESS is where it receives events (:8080), METRICS_ADDRESS where it serves /metrics (:9466).
`

func main() {
	if code, done := version.Arguments("dead-letters", usage, os.Args[1:], os.Stdout, os.Stderr); done {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, cmp.Or(os.Getenv("ADDRESS"), ":8080"), cmp.Or(os.Getenv("METRICS_ADDRESS"), ":9466")); err != nil {
		fmt.Fprintln(os.Stderr, "dead-letters:", err)
		os.Exit(1)
	}
}

// run serves until the context ends, and then completes the requests in progress.
func run(ctx context.Context, address, metricsAddress string) error {
	m := newMetrics()
	server := &http.Server{
		Addr: address, Handler: handler(os.Stdout, m), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second,
		IdleTimeout: 2 * time.Minute,
	}
	// On a listener of its own, so that access to events and to metrics can be separate.
	scraped := &http.Server{Addr: metricsAddress, Handler: m.set.Handler(), ReadHeaderTimeout: 5 * time.Second}
	defer func() { _ = scraped.Close() }()
	ended, blind := make(chan error, 1), make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	go func() { blind <- scraped.ListenAndServe() }()
	select {
	case err := <-blind:
		return errors.Join(fmt.Errorf("metrics: %w", err), server.Close())
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := server.Shutdown(grace)
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
