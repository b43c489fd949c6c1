package function

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"github.com/stormfold/stormfold/aggregator"
)

// unansweredEvents is the number of events in a row without an answer from Redis that opens the breaker. Events of one
// round trip count one by one.
const unansweredEvents = 5

// allShards is the name of the breaker of a Redis that is one server.
const allShards = "all"

// breaker refuses folds while Redis does not answer. Without it each event would hold a connection, a goroutine and its
// body until its timeout, only to be refused then; and a Redis that recovers would get all of them at once. On a
// Cluster each shard has a breaker, so that a master that is down does not delay the events of the others.
type breaker struct {
	each []*gobreaker.TwoStepCircuitBreaker[struct{}]
}

// newBreaker makes a breaker that stays open for the pause before it tries a fold; without a pause it never opens.
// Changed is called when it opens and closes.
func newBreaker(clustered bool, pause time.Duration, changed func(shard string, open bool)) *breaker {
	b := &breaker{}
	if pause == 0 {
		return b
	}
	names := []string{allShards}
	if clustered {
		names = nil
		for shard := range aggregator.Shards {
			names = append(names, aggregator.ShardName(shard))
		}
	}
	for _, name := range names {
		b.each = append(b.each, gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name: name, MaxRequests: 1, Timeout: pause,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= unansweredEvents },
			IsSuccessful: func(err error) bool { return !unanswered(err) },
			// A canceled request shows nothing about Redis.
			IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
			OnStateChange: func(name string, _, to gobreaker.State) {
				if to != gobreaker.StateHalfOpen {
					changed(name, to == gobreaker.StateOpen)
				}
			},
		}))
	}
	return b
}

// names are those of the shards that have a breaker, or all.
func (b *breaker) names() []string {
	var names []string
	for _, one := range b.each {
		names = append(names, one.Name())
	}
	if names == nil {
		names = []string{allShards}
	}
	return names
}

// state is that of a breaker, as a number for the metrics: 0 closed, 1 half open, 2 open.
func (b *breaker) state(name string) float64 {
	for _, one := range b.each {
		if one.Name() == name {
			return float64(one.State())
		}
	}
	return float64(gobreaker.StateClosed) // It is turned off.
}

// unanswered reports whether Redis did not answer at all. An error that Redis answers costs no time.
func unanswered(err error) bool {
	var answer redis.Error
	return (errors.Is(err, aggregator.ErrTimeout) || errors.Is(err, aggregator.ErrUnavailable)) && !errors.As(err, &answer)
}

// errOpen is the error of a fold that was not tried.
var errOpen = errors.New("redis has not answered recently")

// try is one event's attempt to pass the breaker.
type try struct {
	// probing: Redis has not answered recently, and this event tests whether it does now.
	probing bool

	breaker *breaker
	done    map[int]func(error)
	refused map[int]error
}

// begin asks the breakers of an event's groups. The caller must call end.
func (b *breaker) begin(groups []aggregator.Group) *try {
	t := &try{breaker: b, done: map[int]func(error){}, refused: map[int]error{}}
	for _, group := range groups {
		i := b.of(group)
		if _, asked := t.done[i]; asked || i < 0 || t.refused[i] != nil {
			continue
		}
		done, err := b.each[i].Allow()
		if err != nil {
			t.refused[i] = fmt.Errorf("%w: %w: %w", aggregator.ErrUnavailable, errOpen, err)
			continue
		}
		t.done[i] = done
		t.probing = t.probing || b.each[i].State() == gobreaker.StateHalfOpen
	}
	return t
}

// of is the index of the breaker of a group, -1 when there is none.
func (b *breaker) of(group aggregator.Group) int {
	if len(b.each) == 0 {
		return -1
	}
	return aggregator.ShardOf(group.ID) % len(b.each)
}

// sort separates the groups that may be folded now from the results of those that may not.
func (t *try) sort(groups []aggregator.Group) (through []aggregator.Group, refused []folded) {
	for _, group := range groups {
		if err := t.refused[t.breaker.of(group)]; err != nil {
			refused = append(refused, folded{group: group, Folded: aggregator.Folded{Err: err}})
		} else {
			through = append(through, group)
		}
	}
	return through, refused
}

// end reports the results of the groups.
func (t *try) end(results []folded) {
	worst := map[int]error{}
	for _, r := range results {
		i := t.breaker.of(r.group)
		if worst[i] == nil || unanswered(r.Err) {
			worst[i] = r.Err
		}
	}
	for i, done := range t.done {
		done(worst[i])
	}
}

// tryRedis is the stage of the breaker. An event that tests whether Redis is back waits for one answer, without
// retries.
func (p *pod) tryRedis(next foldFunc) foldFunc {
	return func(ctx context.Context, groups []aggregator.Group) (results []folded) {
		t := p.breaker.begin(groups)
		defer func() { t.end(results) }()
		if t.probing {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, p.settings.RedisTimeout)
			defer cancel()
		}
		through, refused := t.sort(groups)
		if len(through) > 0 {
			results = next(ctx, through)
		}
		return append(results, refused...)
	}
}
