package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// measure measures the rows that are wanted and returns them in the table's order. What fails does not keep the others
// from being measured; the error has all of it.
func (b *bed) measure(ctx context.Context, p plan) ([]outcome, error) {
	var all []outcome
	var failed []error
	step := func(some []outcome, err error) error {
		for _, o := range some {
			if len(o.Rounds) > 0 {
				all = append(all, o)
			}
		}
		return err
	}
	one := func(o outcome, err error) error { return step([]outcome{o}, err) }
	for _, s := range []struct {
		rows []string
		do   func() error
	}{
		{[]string{"binary"}, func() error { return one(b.binarySize()) }},
		{[]string{"memory-idle"}, func() error { return one(b.idleMemory(ctx, p)) }},
		{[]string{"start"}, func() error { return one(b.startup(ctx, p)) }},
		{[]string{"memory-redis"}, func() error { return one(b.redisMemory(ctx)) }},
		{[]string{"fold"}, func() error { return one(b.foldTime(ctx, p)) }},
		{[]string{"events", "latency"}, func() error {
			events, err := b.events(ctx, p)
			if err := one(events, err); err != nil || !p.wants("latency") {
				return err
			}
			return one(b.latency(ctx, p, events.measured()/2))
		}},
		{[]string{"alerts", "alertmanager"}, func() error { return step(b.alerts(ctx, p)) }},
		{[]string{"groups"}, func() error { return one(b.groups(ctx, p)) }},
		{[]string{"pods-2", "pods-4"}, func() error { return step(b.processes(ctx, p)) }},
		{[]string{"writes-15"}, func() error { return one(b.writesOf15(ctx)) }},
		{[]string{"writes-10000"}, func() error { return one(b.writesOf10000(ctx)) }},
		{[]string{"lag"}, func() error { return one(b.lag(ctx)) }},
		{[]string{"outages-events", "outages-alerts", "outages-groups"}, func() error { return step(b.outages(ctx, p)) }},
		{[]string{"writes-outage", "writes-members"}, func() error { return step(b.writesOfAnOutage(ctx)) }},
		{[]string{"lag-outage"}, func() error { return one(b.outageLag(ctx)) }},
	} {
		if ctx.Err() == nil && p.wants(s.rows...) {
			began := time.Now()
			if err := s.do(); err != nil {
				failed = append(failed, fmt.Errorf("%v: %w", s.rows, err))
			}
			progress("  %v: %.0f s", s.rows, time.Since(began).Seconds())
		}
	}
	if b.mostMemory > 0 {
		all = append(all, outcome{row: rowOf("memory-load"), Rounds: []sample{{Measured: b.mostMemory}}})
	}
	place := func(o outcome) int { return slices.IndexFunc(rows, func(r row) bool { return r.ID == o.ID }) }
	slices.SortFunc(all, func(a, b outcome) int { return cmp.Compare(place(a), place(b)) })
	return all, errors.Join(failed...)
}
