package function

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// The places where a panic is caught, for the metric and the log.
const (
	inEvent  = "event"
	inFold   = "fold"
	inGroup  = "group"
	inImport = "import"
	inSweep  = "sweep"
)

var panicPlaces = []string{inEvent, inFold, inGroup, inImport, inSweep}

// errPanic is a caught panic, which is a bug.
var errPanic = errors.New("panic")

// catchPanics turns a panic into an error, so that it ends neither the pod nor other events: the event is delivered
// again, and the group stays due in Redis. The log has the stack.
func (p *pod) catchPanics(place string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
			p.metrics.panics.WithLabelValues(place).Inc()
			p.log.Errorw("panic", "in", place, "error", err, "stack", string(debug.Stack()))
		}
	}()
	return f()
}
