package testbed

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const (
	// readyTimeout is how long a server may take to answer; a loaded machine with two cores needs some of it.
	readyTimeout = 90 * time.Second
	// pollInterval is the pause between two looks at a condition.
	pollInterval = 25 * time.Millisecond
	// attemptTimeout bounds one look, since a server may accept a connection long before it answers.
	attemptTimeout = 5 * time.Second
)

// await polls check until it succeeds. It gives up when the context is done, and, with the end of the log, when the
// process behind the condition has ended. The process may be nil.
func await(ctx context.Context, p *Process, what string, check func(context.Context) error) error {
	var ended <-chan struct{}
	if p != nil {
		ended = p.Done()
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := check(attempt)
		cancel()
		if err == nil {
			return nil
		}
		// A look that the end of time cut short has nothing to say.
		if last == nil || !over(ctx) {
			last = err
		}
		select {
		case <-ended:
			return fmt.Errorf("wait for %s: the process ended (%v)\n%s", what, p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			err = fmt.Errorf("wait for %s: %w, at last: %w", what, context.Cause(ctx), last)
			if p != nil {
				err = fmt.Errorf("%w\n%s", err, p.tail())
			}
			return err
		case <-ticker.C:
		}
	}
}

// over tells whether a context's time is up; its own error comes a moment later.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// awaitReady is await for the start of a server.
func awaitReady(p *Process, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	return await(ctx, p, p.name, check)
}

// Eventually polls check until it succeeds, and fails the test with what it said last when time is up.
func Eventually(t testing.TB, within time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := await(ctx, nil, what, check); err != nil {
		t.Fatalf("testbed: %v", err)
	}
}
