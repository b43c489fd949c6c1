package aggregator

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// When Redis' clock is set back, every group is looked at by the next sweep, and is due at the right time again.
func TestAClockThatIsSetBack(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	shard := ShardOf(f.Group)
	next, err := l.NextDue(l.ctx, shard, time.Time{})
	require.NoError(t, err)
	require.True(t, next.After(l.now.Add(time.Hour)), "it is to end by quiet")
	sweep := func() Swept {
		swept, err := l.Sweep(l.ctx, shard)
		require.NoError(t, err)
		require.Equal(t, l.now.UnixMilli(), swept.Now.UnixMilli())
		return swept
	}
	require.Zero(t, sweep().SetBack)
	l.pass(-40 * time.Second)
	require.Zero(t, sweep().SetBack, "it is no more than a slow answer may look like")
	l.pass(-40 * time.Second)
	require.Equal(t, 80*time.Second, sweep().SetBack, "small steps add up")
	l.pass(-10 * time.Minute)
	swept := sweep()
	require.Equal(t, 11*time.Minute+20*time.Second, swept.SetBack, "it is told until the groups were brought forward")
	require.Empty(t, swept.Groups)
	n, err := l.Rewind(l.ctx, shard, swept.Now)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	swept = sweep()
	require.Zero(t, swept.SetBack)
	require.Equal(t, []string{f.Group}, swept.Groups)
	l.flush(f.Group, "")
	require.Empty(t, sweep().Groups)
	again, err := l.NextDue(l.ctx, shard, time.Time{})
	require.NoError(t, err)
	require.Equal(t, next, again)
}

// All pages of a shard are brought forward: neither what is due already, nor the mark of the import.
func TestRewindTakesEveryPage(t *testing.T) {
	l := newLab(t, nil)
	due := l.keys.due(3)
	add := func(id string, at time.Time) {
		require.NoError(t, l.rdb.ZAdd(l.ctx, due, redis.Z{Score: float64(at.UnixMilli()), Member: id}).Err())
	}
	for i := range 2*sweepGroups + 7 {
		add(fmt.Sprintf("03%014x", i), l.now.Add(time.Duration(i+1)*time.Second))
	}
	add("0300000000ffffff", l.now.Add(-time.Hour))
	n, err := l.Rewind(l.ctx, 3, l.now)
	require.NoError(t, err)
	require.Equal(t, 2*sweepGroups+7, n)
	late, err := l.rdb.ZRangeArgs(l.ctx, redis.ZRangeArgs{
		Key: due, Start: fmt.Sprintf("(%d", l.now.UnixMilli()), Stop: "+inf", ByScore: true,
	}).Result()
	require.NoError(t, err)
	require.Equal(t, []string{importedMark}, late)
	oldest, err := l.rdb.ZRangeWithScores(l.ctx, due, 0, 0).Result()
	require.NoError(t, err)
	require.Equal(t, []redis.Z{{Score: float64(l.now.Add(-time.Hour).UnixMilli()), Member: "0300000000ffffff"}}, oldest)
	n, err = l.Rewind(l.ctx, 3, l.now)
	require.NoError(t, err)
	require.Zero(t, n)
}

// Redis' own clock is compared with the time that passes here, and not with the clock of this machine.
func TestRedisOwnClockSetBack(t *testing.T) {
	newLab(t, nil)
	a := New(Options{Redis: server.Client(), Lease: time.Second})
	require.NoError(t, a.Load(t.Context()))
	for range 3 {
		swept, err := a.Sweep(t.Context(), 5)
		require.NoError(t, err)
		require.Zero(t, swept.SetBack)
		require.WithinDuration(t, time.Now(), swept.Now, 30*time.Second)
	}
	a.clocks.highest[5] = a.clocks.highest[5].Add(7 * time.Minute) // As if Redis had been seven minutes ahead before.
	swept, err := a.Sweep(t.Context(), 5)
	require.NoError(t, err)
	require.InDelta(t, 7, swept.SetBack.Minutes(), 0.1)
	_, err = a.Rewind(t.Context(), 5, swept.Now)
	require.NoError(t, err)
	swept, err = a.Sweep(t.Context(), 5)
	require.NoError(t, err)
	require.Zero(t, swept.SetBack)
	other, err := a.Sweep(t.Context(), 6)
	require.NoError(t, err)
	require.Zero(t, other.SetBack)
}
