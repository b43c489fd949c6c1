package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// writesOf15 counts what the API server has to write for 15 alerts at once.
func (b *bed) writesOf15(ctx context.Context) (out outcome, err error) {
	const alerts = 15
	return b.writes(ctx, "writes-15", func(t target) error {
		all, err := t.connect(alerts)
		if err != nil {
			return err
		}
		events := newStream("Fifteen", 1).singles()
		return errors.Join(atOnce(alerts, func(i int) error { return all[i].send(events, i) }), closeAll(all))
	})
}

// writesOf10000 counts them for 10,000 alerts of a group in a minute.
func (b *bed) writesOf10000(ctx context.Context) (outcome, error) {
	const alerts = 10000
	return b.writes(ctx, "writes-10000", func(t target) error {
		_, err := paced(ctx, t, connections, alerts/60.0, 0, time.Minute, newStream("TenThousand", 1).singles())
		return err
	})
}

// writes counts the API server's own figures, until nothing is left to be written.
func (b *bed) writes(ctx context.Context, id string, load func(target) error) (out outcome, err error) {
	out = outcome{row: rowOf(id)}
	fs, err := b.functions(ctx, 1)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, fs.kill()) }()
	before, err := b.cluster.CountRequests(ctx, "stormfold.io", "incidents")
	if err != nil {
		return out, err
	}
	if err := load(fs.target()); err != nil {
		return out, err
	}
	if err := b.awaitNothingDue(ctx); err != nil {
		return out, err
	}
	after, err := b.cluster.CountRequests(ctx, "stormfold.io", "incidents")
	if err != nil {
		return out, err
	}
	writes := after.Since(before).Writes()
	if writes == 0 {
		return out, fmt.Errorf("nothing was written for %q", out.Name)
	}
	out.Rounds = []sample{{Measured: float64(writes)}}
	progress("%s: %d", out.Name, writes)
	return out, nil
}
