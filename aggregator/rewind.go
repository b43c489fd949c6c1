package aggregator

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis' clock may be set back: by a failover to a server whose clock is behind, or by hand. The times in the due index
// then be in the future, and the groups would be looked at late. So a pod remembers how far Redis' clock was ahead of
// the time that has passed here, and when that falls back, every group becomes due at once: its next snapshot puts it
// where it belongs.

// clockSlack is by how much Redis' clock may fall back without that: a round trip that took long looks like it.
const clockSlack = time.Minute

// latest is above all times in ms, and below +inf, where the mark of the import stands.
const latest = "9007199254740991"

// clocks remembers Redis' clock as the sweeps saw it. The servers of a Cluster have one each, so it is that of a shard.
type clocks struct {
	started time.Time // With the monotonic clock, which nobody sets.
	mu      sync.Mutex
	// highest is, of each shard, the latest that Redis' clock was at started, by what it showed since and the time that
	// passed.
	highest [Shards]time.Time
}

// setBack tells by how much Redis' clock has been set back since it was seen highest, and zero for no more than the
// slack.
func (a *Aggregator) setBack(shard int, now time.Time) time.Duration {
	a.clocks.mu.Lock()
	defer a.clocks.mu.Unlock()
	highest := &a.clocks.highest[shard]
	back := highest.Sub(a.atStart(now))
	switch {
	case back > clockSlack:
		return back
	case back < 0:
		*highest = a.atStart(now)
	}
	return 0
}

// atStart is what a clock that shows now showed when this process began. A clock of the Options moves as it likes.
func (a *Aggregator) atStart(now time.Time) time.Time {
	if a.clock != nil {
		return now
	}
	return now.Add(-time.Since(a.clocks.started))
}

// Rewind makes the groups of a shard due that are so after now, which is what Sweep found Redis' clock to be. It
// returns how many they are. Doing it twice does no harm; what fails is tried again with the next sweep.
func (a *Aggregator) Rewind(ctx context.Context, shard int, now time.Time) (int, error) {
	due, from := a.keys.due(shard), strconv.FormatInt(now.UnixMilli(), 10)
	count, err := a.rdb.ZCount(ctx, due, "("+from, latest).Result()
	if err != nil {
		return 0, fmt.Errorf("counting the groups of shard %d: %w", shard, classify(err))
	}
	n := 0
	// What is folded meanwhile has its right time again, so the count bounds the pages.
	for range (count + sweepGroups - 1) / sweepGroups {
		page, err := a.rdb.ZRangeByScore(ctx, due, &redis.ZRangeBy{Min: "(" + from, Max: latest, Count: sweepGroups}).Result()
		if err != nil {
			return n, fmt.Errorf("reading the groups of shard %d: %w", shard, classify(err))
		}
		if len(page) == 0 {
			break
		}
		members := make([]redis.Z, len(page))
		for i, group := range page {
			members[i] = redis.Z{Score: float64(now.UnixMilli()), Member: group}
		}
		// XX and LT: a group that is gone stays gone, and one that has become due earlier keeps that time.
		if err := a.rdb.ZAddArgs(ctx, due, redis.ZAddArgs{XX: true, LT: true, Members: members}).Err(); err != nil {
			return n, fmt.Errorf("making the groups of shard %d due: %w", shard, classify(err))
		}
		n += len(page)
	}
	a.clocks.mu.Lock()
	defer a.clocks.mu.Unlock()
	a.clocks.highest[shard] = a.atStart(now)
	return n, nil
}
