package function

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/meter"
)

// watchRedis exports the connection pool.
func (m *metrics) watchRedis(rdb redis.UniversalClient) {
	m.set.Read(
		"redis_connections",
		"Connections to Redis in the pool.",
		meter.Of("state", "idle", "used"),
		func(state string) float64 {
			s := rdb.PoolStats()
			if state == "idle" {
				return float64(s.IdleConns)
			}
			return float64(s.TotalConns) - float64(s.IdleConns)
		},
	)
	m.set.Read(
		"redis_pool_requests_total",
		"Requests for a connection to Redis: hit (one was free), miss (a new one was made), timeout (all were in use for too long).",
		meter.Of("result", "hit", "miss", "timeout"),
		func(result string) float64 {
			s := rdb.PoolStats()
			return float64(map[string]uint32{"hit": s.Hits, "miss": s.Misses, "timeout": s.Timeouts}[result])
		},
	)
}

// redisFailed counts an error of Redis. A fold that the breaker refused is not one.
func (m *metrics) redisFailed(err error) {
	if failure := aggregator.FailureOf(err); failure != "" && !errors.Is(err, errOpen) {
		m.redisErrors.WithLabelValues(string(failure)).Inc()
	}
}

// numbers are the latest ones of each shard. Two sweeps may run at once, of the timer and of a tick event.
type numbers struct {
	mu    sync.Mutex
	shard [aggregator.Shards]aggregator.Swept
}

// saw stores the numbers of a shard.
func (n *numbers) saw(shard int, s aggregator.Swept) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Groups = nil
	n.shard[shard] = s
}

// swept counts a sweep, and exports what is known of all shards after it.
func (m *metrics) swept(due int, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.sweeps.WithLabelValues(result).Inc()
	m.sweepSeconds.Observe(took.Seconds())
	m.sweptGroups.Add(float64(due))

	m.shards.mu.Lock()
	defer m.shards.mu.Unlock()
	var all aggregator.Swept
	for _, s := range m.shards.shard {
		all.Total += s.Total
		all.Overflow += s.Overflow
		all.Alerts += s.Alerts
		all.Storms += s.Storms
	}
	m.open.WithLabelValues(string(v1alpha1.TypeAlert)).Set(float64(all.Alerts))
	m.open.WithLabelValues(string(v1alpha1.TypeStorm)).Set(float64(all.Storms))
	m.groups.WithLabelValues("plain").Set(float64(all.Total - all.Overflow))
	m.groups.WithLabelValues("overflow").Set(float64(all.Overflow))
}

// readMemory exports Redis' memory. It is not an error if Redis does not report it: nothing depends on it.
func (p *pod) readMemory(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.settings.RedisTimeout)
	defer cancel()
	memory, err := p.aggregator.Memory(ctx)
	if err != nil {
		p.log.Debugw("Redis does not report its memory", "error", err)
		return
	}
	p.metrics.redisMemory.Set(float64(memory.Used))
	p.metrics.redisLimit.Set(float64(memory.Max))
}
