package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

// unwritten begins the alert names of a stream whose storms are opened, and not written again while they are measured.
const unwritten = "Unwritten"

// policies are the built-in one, one whose flush interval does not grow, for the row about the lag, and one that tells
// what the API server's share is on a machine that everything shares.
const policies = `policies:
- name: unwritten
  match: ['alertname=~"KubePodCrashLooping` + unwritten + `.*"']
  flush: {min: 1m, max: 1m}
- name: lag
  match: ['namespace="lag"']
  flush: {min: 1s, max: 1s}
- name: default
`

// flushInterval is that of the policy lag, in seconds.
const flushInterval = 1.0

// bed is what is measured on: a control plane and a Redis, which stay, and functions, which come and go.
type bed struct {
	dir     string
	cluster *testbed.Cluster
	redis   *testbed.RedisServer
	client  *redis.Client // With as many connections as a load has.
	// stormfold and noop are paths of programs.
	stormfold, noop string
	mostMemory      float64 // MiB, of any function under load so far.
	costs           []costRecord
}

// newBed builds the programs and starts the servers. Close ends them, also after an error.
func newBed(ctx context.Context) (b *bed, err error) {
	b = &bed{}
	if b.dir, err = os.MkdirTemp("", "stormfold-bench-"); err != nil {
		return b, err
	}
	for _, p := range []struct {
		path *string
		pkg  string
	}{{&b.stormfold, "./cmd/stormfold"}, {&b.noop, "./test/bench/noop"}} {
		*p.path = filepath.Join(b.dir, filepath.Base(p.pkg))
		if err := build(ctx, *p.path, p.pkg); err != nil {
			return b, err
		}
	}
	if err := b.setPolicies(""); err != nil {
		return b, err
	}
	if b.redis, err = testbed.StartRedis(b.dir); err != nil {
		return b, err
	}
	options, err := redis.ParseURL(b.redis.URL)
	if err != nil {
		return b, err
	}
	options.PoolSize = connections
	b.client = redis.NewClient(options)
	plane := filepath.Join(b.dir, "control-plane")
	if err := os.Mkdir(plane, 0o755); err != nil {
		return b, err
	}
	if b.cluster, err = testbed.StartControlPlane(plane); err != nil {
		return b, err
	}
	if err := b.cluster.ApplyPaths(ctx, "deploy/crd"); err != nil {
		return b, err
	}
	return b, b.cluster.AwaitCRD(ctx, "incidents.stormfold.io")
}

// build builds a program as an image of it is built: without the race detector, and without symbols.
func build(ctx context.Context, path, pkg string, args ...string) error {
	command := exec.CommandContext(
		ctx,
		"go",
		append(append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", path}, args...), pkg)...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

func (b *bed) close() error {
	var errs []error
	if b.client != nil {
		errs = append(errs, b.client.Close())
	}
	if b.redis != nil {
		errs = append(errs, b.redis.Close())
	}
	if b.cluster != nil {
		errs = append(errs, b.cluster.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// machine says what the numbers depend on.
func (b *bed) machine(ctx context.Context) (machine, error) {
	info, err := b.client.InfoMap(ctx, "server").Result()
	if err != nil {
		return machine{}, fmt.Errorf("asking Redis for its version: %w", err)
	}
	return machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Redis: info["Server"]["redis_version"]}, nil
}

// folding returns an aggregator for bare folds, with the shards marked as imported as a function would.
func (b *bed) folding(ctx context.Context) (*aggregator.Aggregator, error) {
	if err := b.client.FlushAll(ctx).Err(); err != nil {
		return nil, fmt.Errorf("emptying Redis: %w", err)
	}
	a := aggregator.New(aggregator.Options{Redis: b.client, Lease: 20 * time.Second})
	if err := a.Load(ctx); err != nil {
		return nil, err
	}
	for shard := range aggregator.Shards {
		mine, err := a.BeginImport(ctx, shard, "", time.Minute)
		if err != nil {
			return nil, err
		}
		if err := a.FinishImport(ctx, mine); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// awaitNothingDue waits until no group wants attention within the longest flush interval.
func (b *bed) awaitNothingDue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		soon := strconv.FormatInt(time.Now().Add(30*time.Second).UnixMilli(), 10)
		var due int64
		for shard := range aggregator.Shards {
			n, err := b.client.ZCount(ctx, "{sf:"+aggregator.ShardName(shard)+"}:due", "-inf", soon).Result()
			if err != nil {
				return fmt.Errorf("looking for what is due: %w", err)
			}
			due += n
		}
		if due == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d groups are still due: %w", due, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
