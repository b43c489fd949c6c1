// Package aggregator folds alerts into groups in Redis and says what is to be written to Kubernetes.
//
// An event's way through it:
//
//	Split      alerts to groups, by policy (pure)
//	FoldOlder  where alerts fire in a group of earlier policies, join them there (fold.lua)
//	Fold       join them with what Redis knows; decide: opened, storm, resolved (fold.lua)
//	Snapshot   take the lease of a group, read what has to be written (snapshot.lua)
//	Settle     tell Redis what was written, give the lease back (settle.lua)
//	Sweep      find groups that wait for attention (sweep.lua)
//
// What decides is in the scripts, each of them atomic; Go prepares their arguments and checks their replies. The
// package knows nothing of Kubernetes and nothing of CloudEvents.
package aggregator

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/config"
)

// Options say how an Aggregator works.
type Options struct {
	// Redis is a client of any kind: one server, Sentinel or Cluster.
	Redis redis.UniversalClient
	// Prefix begins the keys of the installation, 1 to 32 of a-z, 0-9 and -. Empty is DefaultPrefix.
	Prefix string
	// Lease is for how long a pod may project a group before another may take over.
	Lease time.Duration
	// Replicas is how many replicas of Redis must have what a fold wrote before Fold returns, and ReplicaTimeout how
	// long they have for it. None: Fold does not wait.
	Replicas       int
	ReplicaTimeout time.Duration
	// Resync is how often a shard is compared with Kubernetes, for objects that someone deleted or edited; 0: never.
	Resync time.Duration
	// Clock replaces Redis' own clock, for tests and replays. Nil: Redis' clock, the only one that all pods share.
	Clock func() time.Time
	// Outages are the outage policies in force. Nil: there are none.
	Outages func() []config.Outage
	// Namespace is where the objects of outages are written.
	Namespace string
	// Woken, when set, is called for a group of which another one has made work, with the time at which it is due.
	Woken func(group string, due time.Time)
	// Embedded is for an in-process Redis for trials: it knows neither script flags nor a version.
	Embedded bool
}

// Aggregator is the fold. It is safe for concurrent use and holds no state that matters: all of that is in Redis.
type Aggregator struct {
	rdb     redis.UniversalClient
	keys    keyspace
	scripts scripts
	lease   time.Duration
	resync  time.Duration
	clock   func() time.Time
	plain   bool
	// replicas and replicaTimeout are those of the Options.
	replicas       int
	replicaTimeout time.Duration
	storms         storms
	policies       policyTexts
	// offset is Redis' clock less ours, in ms, as last seen.
	offset atomic.Int64
	clocks clocks
	// outagePolicies, namespace and woken are those of the Options.
	outagePolicies func() []config.Outage
	namespace      string
	woken          func(group string, due time.Time)
	labelNames     labelNames
}

// New makes an Aggregator. It does not speak to Redis yet.
func New(o Options) *Aggregator {
	if o.Outages == nil {
		o.Outages = func() []config.Outage { return nil }
	}
	if o.Woken == nil {
		o.Woken = func(string, time.Time) {}
	}
	return &Aggregator{
		outagePolicies: o.Outages, namespace: o.Namespace, woken: o.Woken,
		rdb: o.Redis, keys: newKeyspace(o.Prefix), scripts: newScripts(!o.Embedded), lease: o.Lease, resync: o.Resync,
		clock: o.Clock, plain: o.Embedded, replicas: o.Replicas, replicaTimeout: o.ReplicaTimeout,
		clocks: clocks{started: time.Now()},
	}
}

// minMajor is the first Redis with script flags, by which a fold is refused whole when memory is short.
const minMajor = 7

// Load checks the server and what it holds, and loads the scripts. Its errors say what would be right; until it has
// succeeded nothing else works.
func (a *Aggregator) Load(ctx context.Context) error {
	if err := a.readClock(ctx); err != nil {
		return fmt.Errorf("asking Redis for its time: %w", classify(err))
	}
	if !a.plain {
		info, err := a.rdb.Info(ctx, "server").Result()
		if err != nil {
			return fmt.Errorf("asking Redis for its version: %w", classify(err))
		}
		if err := checkVersion(info); err != nil {
			return err
		}
	}
	if err := a.checkFormat(ctx); err != nil {
		return err
	}
	for _, s := range a.scripts.all() {
		if err := s.Load(ctx, a.rdb).Err(); err != nil {
			return fmt.Errorf("loading a script into Redis: %w", classify(err))
		}
	}
	return nil
}

// Ping asks Redis whether it answers.
func (a *Aggregator) Ping(ctx context.Context) error {
	if err := a.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("pinging Redis: %w", classify(err))
	}
	return nil
}

// Now is Redis' clock, estimated from ours and the difference last seen, or the clock given in Options.
func (a *Aggregator) Now() time.Time {
	if a.clock != nil {
		return a.clock()
	}
	return time.Now().Add(time.Duration(a.offset.Load()) * time.Millisecond)
}

func (a *Aggregator) readClock(ctx context.Context) error {
	if a.clock != nil {
		return nil
	}
	t, err := a.rdb.Time(ctx).Result()
	if err != nil {
		return err
	}
	a.sawClock(t)
	return nil
}

// sawClock remembers the difference between Redis' clock and ours.
func (a *Aggregator) sawClock(redisTime time.Time) {
	a.offset.Store(time.Until(redisTime).Milliseconds())
}

// scriptTime is the time (ms) that a script goes by: 0 for Redis' own clock.
func (a *Aggregator) scriptTime() int64 {
	if a.clock == nil {
		return 0
	}
	return a.clock().UnixMilli()
}

// checkVersion reads what INFO says of the server. Valkey names the Redis version that it is compatible with as
// redis_version, and that is 7.2 or later from its first release on.
func checkVersion(info string) error {
	for line := range strings.Lines(info) {
		version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:")
		if !ok {
			continue
		}
		major, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(major); err != nil || n < minMajor {
			return fmt.Errorf("the Redis server is version %s: Stormfold needs Redis %d or later, or Valkey", version, minMajor)
		}
		return nil
	}
	return fmt.Errorf("the Redis server does not report its version: Stormfold needs Redis %d or later, or Valkey", minMajor)
}
