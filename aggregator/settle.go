package aggregator

import (
	"context"
	"fmt"
	"time"
)

// Confirmed is an object as it is in Kubernetes.
type Confirmed struct {
	Name, Namespace string
	// Revision that it has there; 0: the object is not there (any more).
	Revision        int64
	ResourceVersion string
	// Missing: it stood before and was gone, so that it was made again; or it was to be deleted and goes on, as Redis
	// does not know.
	Missing bool
}

// Settle tells Redis what of a snapshot is in Kubernetes and gives the lease back. What is not among the confirmed
// stays due; a delay says when to try again. It returns when the group wants attention next, zero for never.
func (a *Aggregator) Settle(
	ctx context.Context,
	s *Snapshot,
	confirmed []Confirmed,
	delay time.Duration,
) (time.Time, error) {
	if err := a.report(ctx, s, confirmed); err != nil {
		return time.Time{}, err
	}
	if s.outage != nil {
		return a.settleOutage(ctx, s, confirmed, delay)
	}
	args := []any{a.scriptTime(), s.Token, delay.Milliseconds(), s.Group}
	for _, c := range confirmed {
		args = append(args, c.Name, c.Revision, c.ResourceVersion, c.Namespace, s.reported(c.Name))
	}
	reply, err := a.scripts.settle.Run(ctx, a.rdb, a.keys.script(s.Group), args...).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("settling group %s: %w", s.Group, classify(err))
	}
	r := newReader(reply)
	r.int() // Whether we still held the lease: what is written is written either way.
	due := r.time()
	if r.err != nil {
		return time.Time{}, fmt.Errorf("reading the reply of settle: %w", r.err)
	}
	return due, nil
}
