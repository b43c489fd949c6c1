package aggregator

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// result is what became of one call.
type result struct {
	reply any
	err   error
}

// run runs the calls of one script in one round trip to each server, and, when the Options want it, waits until enough
// replicas have what they wrote.
func (a *Aggregator) run(ctx context.Context, script *redis.Script, calls []call) []result {
	results := make([]result, len(calls))
	if a.replicas == 0 && len(calls) == 1 {
		results[0].reply, results[0].err = script.Run(ctx, a.rdb, calls[0].keys, calls[0].args...).Result()
		return results
	}
	cluster, ok := a.rdb.(*redis.ClusterClient)
	if !ok || a.replicas == 0 {
		a.pipeline(ctx, a.rdb, script, calls, results, every(calls))
		return results
	}
	// WAIT has no key: it has to be sent to the server that wrote, on the connection that did. So each master gets a
	// pipeline of its own, past the client's routing.
	masters := map[*redis.Client][]int{}
	for i, c := range calls {
		master, err := cluster.MasterForKey(ctx, c.keys[0])
		if err != nil {
			results[i].err = err
			continue
		}
		masters[master] = append(masters[master], i)
	}
	var all sync.WaitGroup
	for master, indexes := range masters {
		all.Go(func() { a.pipeline(ctx, master, script, calls, results, indexes) })
	}
	all.Wait()
	for _, r := range results {
		if redis.HasErrorPrefix(r.err, "MOVED") || redis.HasErrorPrefix(r.err, "ASK") ||
			redis.HasErrorPrefix(r.err, "READONLY") {
			cluster.ReloadState(ctx) // The next delivery finds the slot where it is.
			break
		}
	}
	return results
}

func every(calls []call) []int {
	indexes := make([]int, len(calls))
	for i := range indexes {
		indexes[i] = i
	}
	return indexes
}

// pipeliner is a client of one server, or one that routes commands by their keys.
type pipeliner interface{ Pipeline() redis.Pipeliner }

// pipeline runs the calls with those indexes. A script that Redis has forgotten, after a restart or a failover, is sent
// again with its text; that it runs after its neighbours then makes no difference to a fold.
func (a *Aggregator) pipeline(
	ctx context.Context,
	rdb pipeliner,
	script *redis.Script,
	calls []call,
	results []result,
	indexes []int,
) {
	a.exec(ctx, rdb, calls, results, indexes, script.EvalSha)
	var again []int
	for _, i := range indexes {
		if redis.HasErrorPrefix(results[i].err, "NOSCRIPT") {
			again = append(again, i)
		}
	}
	if len(again) > 0 {
		a.exec(ctx, rdb, calls, results, again, script.Eval)
	}
}

// exec sends calls and, behind them on the same connection, WAIT. A mark is written before it: a server may count from
// what the connection itself wrote last, and a fold that changed nothing, since another connection brought the same
// event in the same moment, wrote nothing.
func (a *Aggregator) exec(ctx context.Context, rdb pipeliner, calls []call, results []result, indexes []int,
	eval func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd) {
	pipe := rdb.Pipeline()
	cmds := make([]*redis.Cmd, len(indexes))
	for n, i := range indexes {
		cmds[n] = eval(ctx, pipe, calls[i].keys, calls[i].args...)
	}
	var mark *redis.StatusCmd
	var wait *redis.Cmd
	if a.replicas > 0 {
		mark = pipe.Set(ctx, a.keys.wait(calls[indexes[0]].shard), "", 0)
		wait = pipe.Do(ctx, "wait", a.replicas, a.replicaTimeout.Milliseconds())
	}
	_, _ = pipe.Exec(ctx) // Each command carries its own error.
	var unsafe error
	if wait != nil {
		unsafe = a.replicated(mark, wait)
	}
	for n, i := range indexes {
		results[i].reply, results[i].err = cmds[n].Result()
		if results[i].err == nil {
			results[i].err = unsafe
		}
	}
}

// replicated is nil when enough replicas have what was written before.
func (a *Aggregator) replicated(mark *redis.StatusCmd, wait *redis.Cmd) error {
	if err := mark.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrReplicas, err)
	}
	n, err := wait.Int()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReplicas, err)
	}
	if n < a.replicas {
		return fmt.Errorf("%w: %d of %d within %s", ErrReplicas, n, a.replicas, a.replicaTimeout)
	}
	return nil
}
