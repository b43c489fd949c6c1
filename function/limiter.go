package function

// limiter bounds how many events are worked on at once. One more is refused at once rather than made to wait: it is in
// memory already, with up to 4 MiB, so that a queue would hold what the bound is to keep out, and its sender has a
// queue of its own, with a backoff.
type limiter chan struct{}

func newLimiter(most int) limiter { return make(limiter, most) }

// acquire tells whether the event may be worked on; release has to follow when it may.
func (l limiter) acquire() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l limiter) release() { <-l }

// inUse is how many events are worked on.
func (l limiter) inUse() int { return len(l) }
