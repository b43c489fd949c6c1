package aggregator

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// sweepGroups is how many groups of a shard one sweep names; those that stay are still due at the next.
const sweepGroups = 256

// Swept is what a sweep finds in a shard.
type Swept struct {
	// Groups want attention, the longest waiting first.
	Groups []string
	// Epoch tells whether the shard has been imported, see NeedsImport.
	Epoch string
	// Total counts all groups of the shard, Overflow those of them that stand for groups beyond a policy's maxGroups.
	Total, Overflow int
	// Alerts and Storms count its open incidents, by type.
	Alerts, Storms int
	// Kinds are those of the groups with something open, see Kind.
	Kinds []string
	// Now is Redis' clock, and SetBack by how much it has been set back, when that is more than a minute: the times of the
	// shard's groups lie that much too late until Rewind brings them forward.
	Now     time.Time
	SetBack time.Duration
}

// Sweep names the groups of a shard that want attention, and counts what is in it.
func (a *Aggregator) Sweep(ctx context.Context, shard int) (Swept, error) {
	keys := []string{a.keys.due(shard), a.keys.epoch(shard), a.keys.server(shard), a.keys.groups(shard)}
	reply, err := a.scripts.sweep.Run(ctx, a.rdb, keys, a.scriptTime(), sweepGroups).Result()
	if err != nil {
		return Swept{}, fmt.Errorf("sweeping shard %d: %w", shard, classify(err))
	}
	r := newReader(reply)
	s := Swept{Now: r.time(), Epoch: r.string()}
	s.Total, s.Alerts, s.Storms, s.Overflow = int(r.int()), int(r.int()), int(r.int()), int(r.int())
	for _, kind := range r.list() {
		s.Kinds = append(s.Kinds, fmt.Sprint(kind))
	}
	for r.err == nil && r.at < len(r.parts) {
		s.Groups = append(s.Groups, r.string())
	}
	if r.err != nil {
		return Swept{}, fmt.Errorf("reading the reply of sweep: %w", r.err)
	}
	a.sawClock(s.Now)
	s.SetBack = a.setBack(shard, s.Now)
	return s, nil
}

// NextDue is when, after a time, a group of the shard wants attention next, zero for never: whoever brings its own clock
// moves it there. The zero time is before all others.
func (a *Aggregator) NextDue(ctx context.Context, shard int, after time.Time) (time.Time, error) {
	from := "-inf"
	if !after.IsZero() {
		from = "(" + strconv.FormatInt(after.UnixMilli(), 10)
	}
	first, err := a.rdb.ZRangeByScoreWithScores(ctx, a.keys.due(shard), &redis.ZRangeBy{Min: from, Max: "+inf", Count: 1}).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("asking when shard %d is due: %w", shard, classify(err))
	}
	if len(first) == 0 || first[0].Member == importedMark {
		return time.Time{}, nil
	}
	return msTime(int64(first[0].Score)), nil
}
