package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

const (
	// connections is how many events are on their way at once: the concurrency of the Knative Service.
	connections = 64
	// senders is how many notifications of batchSize alerts are on their way at once.
	senders   = 16
	batchSize = 100
	// spread is over how many groups a load is spread unless a row says otherwise.
	spread = 16
	// manyGroups is for the row about groups.
	manyGroups = 1000
)

// events measures the rate of single alerts: the no-op function, bare folds, the function, in each round.
func (b *bed) events(ctx context.Context, p plan) (outcome, error) {
	out := outcome{row: rowOf("events")}
	for round := range p.rounds {
		n, err := b.noopRate(ctx, p, connections, newStream("N", spread).singles())
		if err != nil {
			return out, err
		}
		e, err := b.foldRate(ctx, p, connections, newStream("E", spread), 1)
		if err != nil {
			return out, err
		}
		f, err := b.functionRate(
			ctx,
			p.ofStorm(),
			1,
			connections,
			newStream("F", spread).singles(),
			"1 alert an event, 16 groups",
			1,
		)
		if err != nil {
			return out, err
		}
		u, err := b.functionRate(
			ctx,
			p.ofStorm(),
			1,
			connections,
			newStream(unwritten, spread).singles(),
			"1 alert an event, 16 groups that are not written",
			1,
		)
		if err != nil {
			return out, err
		}
		out.Rounds = append(out.Rounds, sample{f, bound(n, e)})
		out.Note = fmt.Sprintf("in the last round N = %s, E = %s; with storms that nobody writes meanwhile the ratio was %s",
			number(n), number(e), number(u/bound(n, e)))
		progress("events: round %d: N %s E %s function %s unwritten %s", round+1, number(n), number(e), number(f), number(u))
	}
	return out, nil
}

// alerts measures the rate of alerts in notifications of 100 against the bound, and against Alertmanager.
func (b *bed) alerts(ctx context.Context, p plan) ([]outcome, error) {
	bounded, rival := outcome{row: rowOf("alerts")}, outcome{row: rowOf("alertmanager")}
	for round := range p.rounds {
		n, err := b.noopRate(ctx, p, senders, newStream("N", spread).notifications(batchSize), "-decode")
		if err != nil {
			return nil, err
		}
		e, err := b.foldRate(ctx, p, senders, newStream("E", spread), batchSize)
		if err != nil {
			return nil, err
		}
		f, err := b.functionRate(
			ctx,
			p.ofStorm(),
			1,
			senders,
			newStream("F", spread).notifications(batchSize),
			"100 alerts a notification, 16 groups",
			batchSize,
		)
		if err != nil {
			return nil, err
		}
		a, err := b.alertmanagerRate(ctx, p, newStream("A", spread))
		if err != nil {
			return nil, err
		}
		f, n, e, a = f*batchSize, n*batchSize, e*batchSize, a*batchSize
		bounded.Rounds = append(bounded.Rounds, sample{f, bound(n, e)})
		bounded.Note = fmt.Sprintf("in the last round N = %s, E = %s", number(n), number(e))
		rival.Rounds = append(rival.Rounds, sample{f, a})
		progress(
			"alerts: round %d: N %s E %s function %s Alertmanager %s",
			round+1,
			number(n),
			number(e),
			number(f),
			number(a),
		)
	}
	return []outcome{bounded, rival}, nil
}

// groups measures the rate of single alerts spread over 1,000 groups against that in one.
func (b *bed) groups(ctx context.Context, p plan) (outcome, error) {
	out := outcome{row: rowOf("groups")}
	for round := range p.rounds {
		one, err := b.functionRate(
			ctx,
			p.fromTheStart(),
			1,
			connections,
			newStream("One", 1).singles(),
			"1 alert an event, 1 group",
			1,
		)
		if err != nil {
			return out, err
		}
		many, err := b.functionRate(
			ctx,
			p.fromTheStart(),
			1,
			connections,
			newStream("Many", manyGroups).singles(),
			"1 alert an event, 1,000 groups",
			1,
		)
		if err != nil {
			return out, err
		}
		out.Rounds = append(out.Rounds, sample{many, one})
		progress("groups: round %d: one %s many %s", round+1, number(one), number(many))
	}
	return out, nil
}

// processes measures the rate of single alerts with 1, 2 and 4 functions on one Redis.
func (b *bed) processes(ctx context.Context, p plan) ([]outcome, error) {
	two, four := outcome{row: rowOf("pods-2")}, outcome{row: rowOf("pods-4")}
	for round := range p.rounds {
		rates := map[int]float64{}
		for _, n := range []int{1, 2, 4} {
			r, err := b.functionRate(
				ctx,
				p.ofStorm(),
				n,
				connections,
				newStream("P", spread).singles(),
				fmt.Sprintf("1 alert an event, 16 groups, %d processes", n),
				1,
			)
			if err != nil {
				return nil, err
			}
			rates[n] = r
		}
		two.Rounds = append(two.Rounds, sample{rates[2], rates[1]})
		four.Rounds = append(four.Rounds, sample{rates[4], rates[1]})
		progress("processes: round %d: %s %s %s", round+1, number(rates[1]), number(rates[2]), number(rates[4]))
	}
	return []outcome{two, four}, nil
}

// noopRate is N: how many events a second a function answers that does nothing with them.
func (b *bed) noopRate(
	ctx context.Context,
	p plan,
	connections int,
	events load,
	args ...string,
) (perSecond float64, err error) {
	f, err := b.noopFunction(ctx, args...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Kill()) }()
	perSecond, _, err = hammer(ctx, f.target(), connections, p, events)
	return perSecond, err
}

// foldRate is E: the rate at which Redis answers folds of that many alerts to a plain client.
func (b *bed) foldRate(ctx context.Context, p plan, workers int, s stream, alerts int) (float64, error) {
	a, err := b.folding(ctx)
	if err != nil {
		return 0, err
	}
	policies := testbed.OnePolicy()
	perSecond, _, err := rate(ctx, workers, p.warm, p.run, func(_, n int) error {
		groups := aggregator.Split(policies, s.batch(n, alerts, time.Now()))
		_, err := a.Fold(ctx, groups, func(aggregator.Group) string { return "bench" })
		return err
	})
	return perSecond, err
}

// functionRate is how many events a second so many functions answer together. What each alert cost is recorded.
func (b *bed) functionRate(
	ctx context.Context,
	p plan,
	processes, connections int,
	events load,
	name string,
	alerts float64,
) (perSecond float64, err error) {
	fs, err := b.functions(ctx, processes)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fs.kill()) }()
	m, err := b.meter(fs)
	if err != nil {
		return 0, err
	}
	perSecond, total, err := hammer(ctx, fs.target(), connections, p, events)
	if err != nil {
		return 0, err
	}
	if err := m.record(name, total*alerts, perSecond*alerts); err != nil {
		return 0, err
	}
	for _, f := range fs {
		most, err := statusOf(f.Pid(), "VmHWM")
		if err != nil {
			return 0, err
		}
		b.mostMemory = max(b.mostMemory, most)
	}
	return perSecond, nil
}

// alertmanagerConfig sends nothing anywhere: taking the alerts is all that is measured.
const alertmanagerConfig = `route:
  receiver: nobody
  group_by: [cluster, namespace, alertname]
receivers:
- name: nobody
`

// alertmanagerRate is how many of the same batches a second Alertmanager takes.
func (b *bed) alertmanagerRate(ctx context.Context, p plan, s stream) (perSecond float64, err error) {
	am, err := testbed.StartAlertmanager(b.dir, alertmanagerConfig)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, am.Kill()) }()
	t := target{addrs: []string{am.URL[len("http://"):]}, path: "/api/v2/alerts"}
	perSecond, _, err = hammer(ctx, t, senders, p, s.posts(batchSize))
	return perSecond, err
}
