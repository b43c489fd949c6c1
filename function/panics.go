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

// errPanic is a panic that was caught: a fault of ours.
var errPanic = errors.New("panic")

// catchPanics makes an error of a panic, so that it ends neither the pod nor what others wait for: the event is
// delivered again, and the group stays due in Redis. The log has the stack.
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
