package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// target is where a load goes: one or more servers, to which connections are dealt in turn.
type target struct {
	addrs []string
	path  string
}

// connect opens so many connections.
func (t target) connect(n int) (connections []*connection, err error) {
	for i := range n {
		c, err := dial(t.addrs[i%len(t.addrs)], t.path, fmt.Sprintf("%d", i))
		if err != nil {
			return nil, errors.Join(err, closeAll(connections))
		}
		connections = append(connections, c)
	}
	return connections, nil
}

func closeAll(connections []*connection) error {
	var errs []error
	for _, c := range connections {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// atOnce runs a worker for each of n at once and returns their errors.
func atOnce(n int, worker func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = worker(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// rate is how often a second work is done when as many workers as given do it as fast as they can: n counts all calls.
// What happens in the time of warming up does not count for it, but for the total.
func rate(
	ctx context.Context,
	workers int,
	warm, run time.Duration,
	work func(worker, n int) error,
) (perSecond, total float64, err error) {
	var next, counted atomic.Int64
	begin := time.Now().Add(warm)
	end := begin.Add(run)
	err = atOnce(workers, func(worker int) error {
		for ctx.Err() == nil {
			if err := work(worker, int(next.Add(1)-1)); err != nil {
				return err
			}
			now := time.Now()
			if now.After(end) {
				return nil
			}
			if now.After(begin) {
				counted.Add(1)
			}
		}
		return ctx.Err()
	})
	return float64(counted.Load()) / run.Seconds(), float64(next.Load()), err
}

// hammer is the rate at which a target answers events on so many connections, and how many it answered.
func hammer(ctx context.Context, t target, connections int, p plan, events load) (perSecond, total float64, err error) {
	all, err := t.connect(connections)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, closeAll(all)) }()
	return rate(ctx, connections, p.warm, p.run, func(worker, n int) error { return all[worker].send(events, n) })
}

// paced sends events at a rate and returns each one's latency in ms, from the time at which it was to be sent: an event
// that waits for a connection that is still busy waits at the expense of the target.
func paced(
	ctx context.Context,
	t target,
	connections int,
	perSecond float64,
	warm, run time.Duration,
	events load,
) (latencies []float64, err error) {
	all, err := t.connect(connections)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll(all)) }()
	first := int(math.Ceil(perSecond * warm.Seconds()))
	total := first + int(math.Ceil(perSecond*run.Seconds()))
	latencies = make([]float64, total)
	var next atomic.Int64
	start := time.Now()
	err = atOnce(connections, func(worker int) error {
		for ctx.Err() == nil {
			n := int(next.Add(1) - 1)
			if n >= total {
				return nil
			}
			planned := start.Add(time.Duration(float64(n) / perSecond * float64(time.Second)))
			time.Sleep(time.Until(planned))
			if err := all[worker].send(events, n); err != nil {
				return err
			}
			latencies[n] = time.Since(planned).Seconds() * 1000
		}
		return ctx.Err()
	})
	return latencies[first:], err
}
