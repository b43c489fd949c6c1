package testbed

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// FuncRun runs the function by make func-run in a copy of the project until the test ends, and returns when func has
// built and started it. That takes seconds when Go has built most of it before, and minutes otherwise: only the test's
// own time bounds it.
func FuncRun(t testing.TB, tree string, env ...string) *Process {
	t.Helper()
	if _, err := Binary("func"); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	p := Start(t, "func-run", env, "make", "-C", tree, "func-run")
	err := await(t.Context(), p, "func to build and start the function", func(context.Context) error {
		log, err := p.Log()
		if err == nil && !strings.Contains(log, "Function running on") {
			err = errors.New("it is not built yet")
		}
		return err
	})
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return p
}
