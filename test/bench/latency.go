package main

import (
	"context"
	"errors"
	"fmt"
)

// latency measures the p99 at half of the function's maximum rate, of the function and of the one that does nothing.
func (b *bed) latency(ctx context.Context, p plan, perSecond float64) (outcome, error) {
	out := outcome{row: rowOf("latency"), Note: "at " + number(perSecond) + " events/s"}
	for round := range p.rounds {
		idle, err := b.noopLatency(ctx, p, perSecond)
		if err != nil {
			return out, err
		}
		mine, err := b.functionLatency(ctx, p, perSecond, newStream("F", spread))
		if err != nil {
			return out, err
		}
		calm, err := b.functionLatency(ctx, p, perSecond, newStream(unwritten, spread))
		if err != nil {
			return out, err
		}
		out.Rounds = append(out.Rounds, sample{quantile(mine, 0.99), quantile(idle, 0.99)})
		out.Note = fmt.Sprintf(
			"at %s events/s; in the last round p50 %s ms against %s ms; with storms that nobody writes meanwhile p50 %s ms, p99 %s ms",
			number(
				perSecond,
			),
			number(quantile(mine, 0.5)),
			number(quantile(idle, 0.5)),
			number(quantile(calm, 0.5)),
			number(quantile(calm, 0.99)),
		)
		progress(
			"latency: round %d: p99 %s ms, unwritten %s ms, no-op %s ms",
			round+1,
			number(quantile(mine, 0.99)),
			number(quantile(calm, 0.99)),
			number(quantile(idle, 0.99)),
		)
	}
	return out, nil
}

func (b *bed) noopLatency(ctx context.Context, p plan, perSecond float64) (ms []float64, err error) {
	f, err := b.noopFunction(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Kill()) }()
	return paced(ctx, f.target(), connections, perSecond, p.warm, p.run, newStream("N", spread).singles())
}

func (b *bed) functionLatency(ctx context.Context, p plan, perSecond float64, s stream) (ms []float64, err error) {
	fs, err := b.functions(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fs.kill()) }()
	p = p.ofStorm()
	return paced(ctx, fs.target(), connections, perSecond, p.warm, p.run, s.singles())
}
