package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
)

var (
	always  = []string{"appendfsync always"}
	forgets = []string{"appendonly no"}
	small   = []string{"maxmemory 16mb"}
)

const oom = "503 redis_oom"

var redisFaults = []fault{
	{
		name: "Redis out of memory before the storm", redis: small, expect: []string{oom},
		before: func(b *bed) {
			// The functions start while it is full, too: they know nothing and can note nothing.
			for _, p := range b.pods {
				assert.NoError(b.t, p.Kill())
			}
			assert.NoError(b.t, b.redis.Client().FlushAll(b.t.Context()).Err())
			b.fill()
			for _, p := range b.pods {
				assert.NoError(b.t, p.start())
			}
			b.awaitReady()
		},
		during: func(b *bed) {
			b.awaitAnswers(oom, 30)
			n, err := b.redis.Client().DBSize(b.t.Context()).Result()
			assert.NoError(b.t, err)
			assert.LessOrEqual(b.t, n, int64(foreignKeys), "nothing was half done")
			assert.Zero(b.t, b.answers(taken))
			b.free()
		},
	},
	{
		name: "Redis out of memory during the storm", redis: small, expect: []string{oom},
		during: func(b *bed) {
			for range 2 {
				b.fill()
				b.awaitAnswers(oom, 60)
				b.free()
				b.awaitAnswers(taken, 5)
			}
		},
	},
	{
		name: "Redis on the edge of its memory", redis: small, every: 20 * time.Millisecond,
		during: func(b *bed) {
			// Foreign data comes and goes all the time, in sizes like ours.
			for range 20 {
				from := b.answers(oom)
				b.await(20*time.Second, func() error {
					b.edge()
					if b.answers(oom) < from+3 {
						return errors.New("nothing is refused")
					}
					return nil
				})
				assert.NoError(b.t, b.redis.Client().Unlink(b.t.Context(), "edge:0", "edge:1").Err())
			}
			b.free()
		},
		expect: []string{oom},
	},
	{
		name: "Redis killed, appendfsync always", redis: always,
		during: func(b *bed) {
			for range 3 {
				assert.NoError(b.t, b.redis.Kill())
				b.awaitAnswers("503 redis_unavailable", 20)
				assert.NoError(b.t, b.redis.Start())
				b.awaitAnswers(taken, 5)
			}
		},
	},
	{
		name: "Redis restarted without persistence", redis: forgets, forgets: true, long: true,
		during: func(b *bed) {
			assert.NoError(b.t, b.redis.Kill())
			b.awaitAnswers("503 redis_unavailable", 20)
			assert.NoError(b.t, b.redis.Start())
		},
	},
	{
		name: "Redis emptied under load", forgets: true, long: true,
		during: func(b *bed) { assert.NoError(b.t, b.redis.Client().FlushAll(b.t.Context()).Err()) },
	},
	{
		name: "Redis hangs", every: 30 * time.Millisecond,
		during: func(b *bed) {
			assert.NoError(b.t, b.redis.Pause())
			b.awaitAnswers("503 redis_timeout", 40)
			assert.NoError(b.t, b.redis.Resume())
		},
	},
	{
		name: "SCRIPT FLUSH",
		during: func(b *bed) {
			b.repeatedly(
				100,
				15*time.Millisecond,
				func() { assert.NoError(b.t, b.redis.Client().ScriptFlush(b.t.Context()).Err()) },
			)
		},
	},
	{
		name: "Redis permission withdrawn",
		during: func(b *bed) {
			c := b.redis.Client()
			assert.NoError(b.t, c.Do(b.t.Context(), "ACL", "SETUSER", "stormfold", "-@scripting").Err())
			b.awaitAnswers("503 redis_unavailable", 40)
			assert.NoError(b.t, c.Do(b.t.Context(), "ACL", "SETUSER", "stormfold", "+eval", "+evalsha", "+script|load").Err())
		},
	},
	{
		// As it is shipped, with appendfsync everysec.
		name: "Redis killed, restarted from its append-only file",
		during: func(b *bed) {
			for range 3 {
				b.awaitAnswers(taken, 20)
				b.killOnDisk(b.redis)
				b.awaitAnswers("503 redis_unavailable", 20)
				assert.NoError(b.t, b.redis.Start())
				b.awaitAnswers(taken, 20)
			}
		},
	},
	{
		name: "Redis killed, appendfsync everysec", forgets: true, long: true,
		during: func(b *bed) {
			assert.NoError(b.t, b.redis.Kill())
			b.awaitAnswers("503 redis_unavailable", 20)
			assert.NoError(b.t, b.redis.Start())
		},
	},
	{
		name: "Redis evicts (allkeys-lru)", redis: []string{"maxmemory 6mb", "maxmemory-policy allkeys-lru"},
		forgets: true, long: true,
		during: func(b *bed) {
			for i := range 40 {
				err := b.redis.Client().Set(b.t.Context(), fmt.Sprintf("foreign:%d", i), strings.Repeat("x", 1<<20), 0).Err()
				if err != nil && !redis.HasErrorPrefix(err, "OOM") {
					assert.NoError(b.t, err)
				}
			}
			assert.NoError(b.t, b.redis.Client().ConfigSet(b.t.Context(), "maxmemory", "0").Err())
		},
	},
}

// foreignKeys is how many keys fill and edge may write, and more.
const foreignKeys = 100_000

// fill uses up Redis' memory with data of somebody else, and then lowers its bound, so that nothing fits whatever the
// buffers of connections give back.
func (b *bed) fill() {
	ctx := b.t.Context()
	c := b.redis.Client()
	b.edge()
	used, err := c.InfoMap(ctx, "memory").Result()
	assert.NoError(b.t, err)
	var n int64
	_, err = fmt.Sscan(used["Memory"]["used_memory"], &n)
	assert.NoError(b.t, err)
	assert.NoError(b.t, c.ConfigSet(ctx, "maxmemory", fmt.Sprint(n-6<<20)).Err())
}

// edge uses up Redis' memory with data of somebody else, down to 1 KiB.
func (b *bed) edge() {
	i := 0
	for _, size := range []int{1 << 20, 1 << 14, 1 << 10} {
		for {
			err := b.redis.Client().SetNX(b.t.Context(), fmt.Sprintf("edge:%d", i), strings.Repeat("x", size), 0).Err()
			i++
			if redis.HasErrorPrefix(err, "OOM") {
				break
			}
			if err != nil || i > foreignKeys {
				assert.NoError(b.t, errors.Join(err, b.t.Context().Err()))
				return
			}
		}
	}
}

// free takes away what fill and edge wrote.
func (b *bed) free() {
	ctx := context.WithoutCancel(b.t.Context())
	c := b.redis.Client()
	assert.NoError(b.t, c.ConfigSet(ctx, "maxmemory", "16mb").Err())
	keys := c.Scan(ctx, 0, "edge:*", 1000).Iterator()
	for keys.Next(ctx) {
		assert.NoError(b.t, c.Unlink(ctx, keys.Val()).Err())
	}
	assert.NoError(b.t, keys.Err())
}

// repeatedly does something so many times, at that pace.
func (b *bed) repeatedly(n int, every time.Duration, do func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for range n {
		<-ticker.C
		do()
	}
}
