package faults

import (
	"net/url"

	"github.com/stormfold/stormfold/test/testbed"
)

// startRedis starts the kind of Redis that the fault wants.
func (b *bed) startRedis(f fault) {
	b.t.Helper()
	b.options = f.options
	switch {
	case f.replicas > 0:
		b.sentinel = testbed.Sentinel(b.t, f.replicas)
		b.data = b.sentinel.Client
	case f.masters > 0:
		b.ring = testbed.RedisClusterOf(b.t, f.masters, 1)
		b.data = b.ring.Client
	default:
		args := f.redis
		if f.tls {
			secured := testbed.TLS(b.t)
			b.tls = &secured
			args = append(args, secured.Args...)
		}
		b.redis = testbed.Redis(b.t, args...)
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
	u := url.URL{Scheme: "redis", Host: b.redis.Addr, Path: "/0", RawQuery: b.options}
	if b.tls != nil {
		u.Scheme, u.Host = "rediss", b.tls.Addr
	}
	if b.proxy != nil {
		u.Host = b.proxy.Addr
	}
	return u.String()
}
