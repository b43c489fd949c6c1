package function

// limiter limits the number of events in progress. Further ones are refused at once instead of queued: they are in
// memory already, with up to 4 MiB each, and the sender has a queue of its own, with a backoff.
type limiter chan struct{}

func newLimiter(most int) limiter { return make(limiter, most) }

// acquire reports whether the event may be handled; if so, the caller must call release.
func (l limiter) acquire() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func (l limiter) release() { <-l }

// inUse is the number of events in progress.
func (l limiter) inUse() int { return len(l) }
