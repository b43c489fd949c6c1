package faults

import (
	"fmt"
	"net/url"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// startRedis starts the kind of Redis that the fault wants: by the scripts, ACL and configuration of deploy/redis.
func (b *bed) startRedis(f fault) {
	b.t.Helper()
	b.options = f.options
	switch {
	case f.sentinel:
		b.sentinel = testbed.Sentinel(b.t)
		b.data = b.sentinel.Client
	case f.masters > 0:
		b.ring = testbed.RedisClusterOf(b.t, f.masters, 1)
		b.data = b.ring.Client
	case f.clock:
		b.redis, b.clock = testbed.TrialRedisWithClock(b.t, f.redis...)
		b.data = b.redis.Client()
	default:
		settings := f.redis
		if f.tls {
			secured := testbed.TLS(b.t)
			b.tls = &secured
			settings = append(settings, secured.Settings...)
		}
		b.redis = testbed.TrialRedis(b.t, settings...)
		b.data = b.redis.Client()
	}
}

// redisURL is the functions' way to Redis.
func (b *bed) redisURL() string {
	if b.sentinel != nil {
		return b.sentinel.URL
	}
	if b.ring != nil {
		return b.ring.URL
	}
	u, err := url.Parse(b.redis.URL)
	require.NoError(b.t, err)
	u.RawQuery = b.options
	if b.tls != nil {
		u.Scheme, u.Host = "rediss", b.tls.Addr
	}
	if b.proxy != nil {
		u.Host = b.proxy.Addr
	}
	return u.String()
}

// killOnDisk kills a server while its append-only file has everything that it answered. With appendfsync everysec that
// is always so but while it waits for the disk.
func (b *bed) killOnDisk(server *testbed.RedisServer) {
	b.t.Helper()
	b.await(20*time.Second, func() error {
		info, err := server.Client().InfoMap(b.t.Context(), "persistence").Result()
		if err != nil {
			return err
		}
		if p := info["Persistence"]; p["aof_enabled"] != "1" || p["aof_pending_bio_fsync"] != "0" {
			return fmt.Errorf("the append-only file is not written: %v", p)
		}
		return server.Kill()
	})
	assert.False(b.t, server.Running())
}
