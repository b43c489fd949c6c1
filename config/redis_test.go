package config

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func client(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	c, err := (&Settings{RedisURL: RedisURL(url), RedisTimeout: 3 * time.Second}).NewRedis()
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestNewRedisModes(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		o := client(t, "redis://user:pw@host:7000/3").(*redis.Client).Options()
		assert.Equal(t, []any{"tcp", "host:7000", 3, "user", "pw"}, []any{o.Network, o.Addr, o.DB, o.Username, o.Password})
		assert.Nil(t, o.TLSConfig)
		assert.True(t, o.ContextTimeoutEnabled)
	})
	t.Run("TLS", func(t *testing.T) {
		o := client(t, "rediss://host:7000").(*redis.Client).Options()
		require.NotNil(t, o.TLSConfig)
		assert.Equal(t, "host", o.TLSConfig.ServerName)
	})
	t.Run("Unix socket", func(t *testing.T) {
		o := client(t, "unix:///run/redis.sock?db=2").(*redis.Client).Options()
		assert.Equal(t, []any{"unix", "/run/redis.sock", 2}, []any{o.Network, o.Addr, o.DB})
	})
	t.Run("Sentinel", func(t *testing.T) {
		o := client(t, "redis://s0:26379/1?addr=s1:26379&master_name=main&password=pw").(*redis.Client).Options()
		assert.Equal(t, []any{"FailoverClient", 1, "pw", true}, []any{o.Addr, o.DB, o.Password, o.ContextTimeoutEnabled})
	})
	t.Run("Cluster", func(t *testing.T) {
		o := client(t, "redis://user:pw@n0:6379?addr=n1:6379").(*redis.ClusterClient).Options()
		assert.Equal(t, []string{"n0:6379", "n1:6379"}, o.Addrs)
		assert.True(t, o.ContextTimeoutEnabled)
	})
}

func TestNewRedisTimeouts(t *testing.T) {
	o := client(t, "redis://host").(*redis.Client).Options()
	assert.Equal(
		t,
		[]time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second},
		[]time.Duration{o.DialTimeout, o.ReadTimeout, o.WriteTimeout},
	)

	o = client(t, "redis://host?read_timeout=7s").(*redis.Client).Options()
	assert.Equal(
		t,
		[]time.Duration{3 * time.Second, 7 * time.Second, 3 * time.Second},
		[]time.Duration{o.DialTimeout, o.ReadTimeout, o.WriteTimeout},
	)

	c := client(t, "redis://host?addr=n1:6379&dial_timeout=1s").(*redis.ClusterClient).Options()
	assert.Equal(
		t,
		[]time.Duration{time.Second, 3 * time.Second, 3 * time.Second},
		[]time.Duration{c.DialTimeout, c.ReadTimeout, c.WriteTimeout},
	)
}

func TestNewRedisConnects(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("user", "p/w")
	c := client(t, "redis://user:p%2Fw@"+server.Addr())
	require.NoError(t, c.Ping(t.Context()).Err())
}

func TestRedisURLErrors(t *testing.T) {
	const hidden = "the value, which may hold a password and is not shown, is not a URL with special characters escaped, for instance redis://127.0.0.1:6379/0"
	tests := map[string]string{
		"http://user:secret@h":                             `"http://user:xxxxx@h" is not a Redis URL (the scheme is none of redis, rediss, unix), for instance redis://127.0.0.1:6379/0`,
		"redis://user:secret@h/x":                          `"redis://user:xxxxx@h/x" is not a Redis URL (invalid database number: "x"), for instance redis://127.0.0.1:6379/0`,
		"redis://:secret@h?what=1":                         `"redis://:xxxxx@h?what=1" is not a Redis URL (unexpected option: what), for instance redis://127.0.0.1:6379/0`,
		"redis://secret@h?what=1":                          `"redis://xxxxx@h?what=1" is not a Redis URL (unexpected option: what), for instance redis://127.0.0.1:6379/0`,
		"redis://h?password=secret":                        `"redis://h?password=xxxxx" is not a Redis URL (unexpected option: password), for instance redis://127.0.0.1:6379/0`,
		"redis://h?master_name=&password=secret":           `"redis://h?master_name=&password=xxxxx" is not a Redis URL (master_name is empty), for instance redis://127.0.0.1:6379/0`,
		"redis://h/1?addr=n1:6379":                         `"redis://h/1?addr=n1:6379" is not a Redis URL (a Redis Cluster has database 0 only), for instance redis://127.0.0.1:6379/0`,
		"redis://h?addr=":                                  `"redis://h?addr=" is not a Redis URL (unable to parse addr param: ), for instance redis://127.0.0.1:6379/0`,
		"redis://h?addr=n1:1&read_only=1":                  `"redis://h?addr=n1:1&read_only=1" is not a Redis URL (the option read_only reads from replicas, which lag), for instance redis://127.0.0.1:6379/0`,
		"redis://h?master_name=m&route_by_latency=true":    `"redis://h?master_name=m&route_by_latency=true" is not a Redis URL (the option route_by_latency reads from replicas, which lag), for instance redis://127.0.0.1:6379/0`,
		"unix:///s?master_name=m":                          `"unix:///s?master_name=m" is not a Redis URL (invalid URL scheme: unix), for instance redis://127.0.0.1:6379/0`,
		"redis://:sec/ret@h":                               hidden,
		"redis://user:1/secret@h":                          hidden,
		"redis://user:1?secret@h":                          hidden,
		"redis://user:1#secret@h":                          hidden,
		"redis://user:1%2Fsecret%zz@h":                     hidden,
		":secret@h:6379":                                   hidden,
		"user:secret@h:6379":                               hidden,
		"redis://h?master_name=m&password=sec;ret":         "the value, which may hold a password and is not shown, has options that are not name=value&..., for instance redis://127.0.0.1:6379/0",
		"redis://h?master_name=m&db=x&Password=secret%40x": `"redis://h?Password=xxxxx&db=x&master_name=m" is not a Redis URL (invalid database number: strconv.Atoi: parsing "x": invalid syntax), for instance redis://127.0.0.1:6379/0`,
	}
	for url, want := range tests {
		_, err := outside(t, map[string]string{"STORMFOLD_REDIS_URL": url})
		assert.EqualError(t, err, "STORMFOLD_REDIS_URL: "+want, url)
		_, err = (&Settings{RedisURL: RedisURL(url)}).NewRedis()
		assert.EqualError(t, err, "STORMFOLD_REDIS_URL: "+want, url)
	}
}

func TestSettingsPrintWithoutPassword(t *testing.T) {
	s := Settings{RedisURL: "redis://user:secret@h?master_name=m&password=secret"}
	asJSON, err := json.Marshal(s)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", &s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q",
		s.RedisURL), string(asJSON)} {
		assert.NotContains(t, text, "secret")
		assert.Contains(t, text, "user:xxxxx@h")
	}
	assert.Equal(t, "(hidden)", RedisURL("redis://:sec/ret@h").String())
}
