package main

import (
	"context"
	"fmt"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

// foldTime measures one fold of one alert in a group of 10,000 alerts and in one of 10, one after the other. Each
// changes something: the alert is resolved and fires in turn.
func (b *bed) foldTime(ctx context.Context, p plan) (outcome, error) {
	out := outcome{row: rowOf("fold")}
	a, err := b.folding(ctx)
	if err != nil {
		return out, err
	}
	const large, small = 10000, 10
	sizes := map[int]stream{large: newStream("Large", 1), small: newStream("Small", 1)}
	for size, s := range sizes {
		if err := fill(ctx, a, s, size); err != nil {
			return out, err
		}
	}
	said := time.Now()
	for range p.rounds {
		times := map[int][]float64{}
		for n := range p.folds {
			said = said.Add(time.Millisecond)
			for size, s := range sizes {
				alert := s.alert(n/2%size, said)
				if n%2 == 0 {
					alert.Status = aggregator.Resolved
				}
				start := time.Now()
				if err := fold(ctx, a, alert); err != nil {
					return out, err
				}
				times[size] = append(times[size], time.Since(start).Seconds()*1000)
			}
		}
		out.Rounds = append(out.Rounds, sample{median(times[large]), median(times[small])})
	}
	progress("fold: %s ms and %s ms", number(out.measured()), number(out.reference()))
	return out, nil
}

func fold(ctx context.Context, a *aggregator.Aggregator, alerts ...aggregator.Alert) error {
	groups := aggregator.Split(testbed.OnePolicy(), aggregator.Batch{Alerts: alerts})
	_, err := a.Fold(ctx, groups, func(aggregator.Group) string { return "bench" })
	return err
}

// fill folds the first alerts of a stream.
func fill(ctx context.Context, a *aggregator.Aggregator, s stream, n int) error {
	for from := 0; from < n; from += batchSize {
		var alerts []aggregator.Alert
		for i := from; i < min(from+batchSize, n); i++ {
			alerts = append(alerts, s.alert(i, time.Now()))
		}
		if err := fold(ctx, a, alerts...); err != nil {
			return err
		}
	}
	return nil
}

// redisMemory measures what a group of 10,000 alerts takes in Redis: all of its keys, by Redis' own account.
func (b *bed) redisMemory(ctx context.Context) (outcome, error) {
	out := outcome{row: rowOf("memory-redis")}
	a, err := b.folding(ctx)
	if err != nil {
		return out, err
	}
	const alerts = 10000
	if err := fill(ctx, a, newStream("Memory", 1), alerts); err != nil {
		return out, err
	}
	keys, err := b.client.Keys(ctx, "{sf:*}:g:*").Result()
	if err != nil {
		return out, fmt.Errorf("listing a group's keys: %w", err)
	}
	var sum int64
	for _, key := range keys {
		n, err := b.client.MemoryUsage(ctx, key, 0).Result()
		if err != nil {
			return out, fmt.Errorf("asking for the memory of a key: %w", err)
		}
		sum += n
	}
	out.Rounds = []sample{{Measured: float64(sum) / alerts}}
	progress("memory in Redis: %s bytes an alert", number(out.measured()))
	return out, nil
}
