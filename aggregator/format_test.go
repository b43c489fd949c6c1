package aggregator

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// formatIn is the number in Redis, empty when there is none.
func (l *lab) formatIn() string {
	l.t.Helper()
	return l.rdb.Get(l.ctx, "{sf:00}:format").Val()
}

func TestTheFormatIsWrittenAndCheckedAtTheStart(t *testing.T) {
	l := newLab(t, nil)
	require.Equal(t, "2", l.formatIn())
	require.NoError(t, l.Load(l.ctx), "data in our format")

	refused := func(format string) {
		t.Helper()
		err := l.Load(l.ctx)
		require.EqualError(t, err, "another version of Stormfold keeps its data under the keys {sf:*} of this Redis, in format "+format+
			" where this one writes 2: stop that version, then delete those keys or set another STORMFOLD_REDIS_PREFIX; the open "+
			"incidents are read from Kubernetes again")
		var other *OtherFormatError
		require.ErrorAs(t, err, &other)
		require.Equal(t, format, other.Format)
		require.Empty(t, FailureOf(err), "Redis did not fail")
	}
	require.NoError(t, l.rdb.Set(l.ctx, "{sf:00}:format", "3", 0).Err())
	refused("3")
	require.Equal(t, "3", l.formatIn(), "it belongs to the other version")

	// What version 0.1 left: any shard that was imported, and no number.
	for shard := range Shards {
		require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
		require.NoError(t, l.rdb.Set(l.ctx, "{sf:"+ShardName(shard)+"}:epoch", "1", 0).Err())
		refused("1")
		require.Empty(t, l.formatIn())
	}

	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	require.NoError(t, l.Load(l.ctx))
	require.Equal(t, "2", l.formatIn())
}

// A Redis that is emptied under a running pod, in which words wait for the import, keeps no pod from starting.
func TestAPodStartsWhereWordsWaitForTheImport(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.fold(l.pods(3, Firing)...)
	require.NoError(t, l.Load(l.ctx))
	require.Equal(t, "2", l.formatIn())
}

// Nor does a Redis that is full. It has the number when it has the first shard.
func TestAPodStartsWhereRedisIsFull(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	t.Cleanup(func() { l.rdb.ConfigSet(context.WithoutCancel(l.ctx), "maxmemory", "0") })
	require.NoError(t, l.rdb.ConfigSet(l.ctx, "maxmemory", "1").Err())
	require.NoError(t, l.Load(l.ctx))
	require.Empty(t, l.formatIn())

	require.NoError(t, l.rdb.ConfigSet(l.ctx, "maxmemory", "0").Err())
	i, err := l.BeginImport(l.ctx, 7, "", 20*time.Second)
	require.NoError(t, err)
	require.NoError(t, l.FinishImport(l.ctx, i))
	require.Equal(t, "2", l.formatIn())
}

// underACL is a client with the rules of deploy/redis/acl for a prefix, made as docs/install.md says.
func underACL(t *testing.T, admin *redis.Client, prefix string) *redis.Client {
	t.Helper()
	rules, err := testbed.FunctionRules()
	require.NoError(t, err)
	args := []any{"ACL", "SETUSER", prefix, "on", ">secret"}
	for _, rule := range rules {
		args = append(args, strings.Replace(rule, "{sf:", "{"+prefix+":", 1))
	}
	require.NoError(t, admin.Do(t.Context(), args...).Err())
	rdb := redis.NewClient(&redis.Options{
		Network: admin.Options().Network, Addr: admin.Options().Addr, Username: prefix, Password: "secret",
	})
	t.Cleanup(func() {
		_ = rdb.Close()
		admin.Do(context.WithoutCancel(t.Context()), "ACL", "DELUSER", prefix)
	})
	return rdb
}

// Two installations on one Redis know nothing of each other, whatever versions they are, and need not reach each other's keys.
func TestTwoPrefixesOnOneRedis(t *testing.T) {
	one := newLab(t, nil)
	two := &lab{t: t, ctx: one.ctx, now: epoch, rdb: one.rdb, policy: one.policy, objects: map[string]Object{}}
	rdb := underACL(t, one.rdb, "blue-2")
	two.Aggregator = New(Options{Redis: rdb, Prefix: "blue-2", Lease: 20 * time.Second, Clock: func() time.Time { return two.now }})
	require.NoError(t, one.rdb.Set(one.ctx, "{sf:00}:format", "3", 0).Err())
	require.NoError(t, two.Load(two.ctx))
	two.imported()
	require.ErrorIs(t, New(Options{Redis: rdb, Lease: time.Second}).Load(two.ctx), ErrRefused, "under the prefix of the other")

	// The same alerts: a storm in one, less than a storm in the other.
	f := one.fold(one.pods(15, Firing)...)
	require.Equal(t, "storm", f.State)
	one.flush(f.Group, f.Token)
	g := two.fold(two.pods(3, Firing)...)
	require.Equal(t, "calm", g.State)
	two.flush(g.Group, g.Token)
	require.Equal(t, f.Group, g.Group)
	require.Len(t, one.in(StateFiring), 1)
	require.Len(t, two.in(StateFiring), 3)
	keys := one.rdb.Keys(one.ctx, "*").Val()
	require.Equal(t, len(keys), len(one.rdb.Keys(one.ctx, "{sf:[0-9][0-9]}:*").Val())+len(one.rdb.Keys(one.ctx, "{blue-2:[0-9][0-9]}:*").Val()))

	swept, err := two.Sweep(two.ctx, ShardOf(g.Group))
	require.NoError(t, err)
	require.Equal(t, []int{3, 0}, []int{swept.Alerts, swept.Storms})
}

// The Redis of make run and of replays knows what the format needs.
func TestTheFormatInTheEmbeddedRedis(t *testing.T) {
	server := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	for range 2 {
		require.NoError(t, New(Options{Redis: rdb, Lease: time.Second, Embedded: true}).Load(t.Context()))
	}
	require.Equal(t, "2", rdb.Get(t.Context(), "{sf:00}:format").Val())
}
