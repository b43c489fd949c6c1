package aggregator

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Memory is that of one server of Redis, in bytes.
type Memory struct {
	// Used is what it uses, and Max the maxmemory beyond which folds are refused; 0 is no limit.
	Used, Max int64
}

// share is how much of the limit is used.
func (m Memory) share() float64 {
	if m.Max == 0 {
		return 0
	}
	return float64(m.Used) / float64(m.Max)
}

// Memory asks Redis for its memory. On a Cluster it is that of the master that is nearest to its limit, since that is
// the one that will refuse first. An embedded Redis has none.
func (a *Aggregator) Memory(ctx context.Context) (Memory, error) {
	if a.plain {
		return Memory{}, nil
	}
	cluster, ok := a.rdb.(*redis.ClusterClient)
	if !ok {
		return memoryOf(ctx, a.rdb)
	}
	var mu sync.Mutex
	var nearest Memory
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		m, err := memoryOf(ctx, master)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if cmp.Or(cmp.Compare(m.share(), nearest.share()), cmp.Compare(m.Used, nearest.Used)) > 0 {
			nearest = m
		}
		return nil
	})
	return nearest, classify(err)
}

func memoryOf(ctx context.Context, rdb redis.Cmdable) (Memory, error) {
	info, err := rdb.Info(ctx, "memory").Result()
	if err != nil {
		return Memory{}, fmt.Errorf("asking Redis for its memory: %w", classify(err))
	}
	values := infoValues(info)
	used, err := strconv.ParseInt(values["used_memory"], 10, 64)
	if err != nil {
		return Memory{}, fmt.Errorf("%w: INFO has no used_memory", ErrReply)
	}
	// A server of another make may not tell its limit, and then it has none that we know of.
	limit, _ := strconv.ParseInt(values["maxmemory"], 10, 64)
	return Memory{Used: used, Max: limit}, nil
}
