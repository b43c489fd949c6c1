// Command dead-letters is the end of events that could not be delivered: it writes each of them to its standard output, as
// one line of JSON, and accepts it. A line is a whole CloudEvent, with Knative's attributes that say where it could not be
// delivered and why (knativeerrordest, knativeerrorcode, knativeerrordata), and can be sent again as it is.
//
//	dead-letters    # serve on ADDRESS, by default :8080, until SIGTERM
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	address := os.Getenv("ADDRESS")
	if address == "" {
		address = ":8080"
	}
	if err := run(ctx, address); err != nil {
		fmt.Fprintln(os.Stderr, "dead-letters:", err)
		os.Exit(1)
	}
}

// run serves until the context ends, and then finishes what it has begun.
func run(ctx context.Context, address string) error {
	server := &http.Server{
		Addr: address, Handler: handler(os.Stdout), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
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
