package function

// gate bounds how many events are worked on at once. One more is refused at once rather than made to wait: it is in
// memory already, with up to 4 MiB, so that a queue would hold what the bound is to keep out, and its sender has a queue
// of its own, with a backoff.
type gate chan struct{}

func newGate(most int) gate { return make(gate, most) }

// enter tells whether the event may be worked on; leave has to follow when it may.
func (g gate) enter() bool {
	select {
	case g <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g gate) leave() { <-g }

// inside is how many events are worked on.
func (g gate) inside() int { return len(g) }
