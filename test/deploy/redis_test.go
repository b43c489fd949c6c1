package deploy

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

// TestRedisTrial: the script of deploy/redis/trial makes a server that the Secret's user may use, and nobody else.
func TestRedisTrial(t *testing.T) {
	t.Parallel()
	server := testbed.TrialRedis(t)
	secret := find(t, render(t, filepath.Join(root, "deploy/redis/trial")), "Secret", "stormfold-redis")
	encoded, _, err := unstructured.NestedString(secret.Object, "data", "url")
	require.NoError(t, err)
	address, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	c := client(t, strings.Replace(string(address), "stormfold-redis-trial:6379", server.Addr, 1))
	require.NoError(t, c.Ping(t.Context()).Err())
	noWarnings(t, c)
	guarded(t, server)
	keepsWhatItTook(t, server)
	guarded(t, server)
}

// noWarnings: the server has none of the settings that the function warns about at its start.
func noWarnings(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	warnings, err := aggregator.New(aggregator.Options{Redis: c, Lease: time.Second}).Warnings(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
}

// guarded: nobody may use the server without a password, and the readiness probe may do nothing else.
func guarded(t *testing.T, server *testbed.RedisServer) {
	t.Helper()
	nobody := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer nobody.Close()
	for _, command := range [][]any{
		{"PING"}, {"GET", "{sf:00}:due"}, {"SET", "x", "y"}, {"EVAL", "return 1", 0}, {"AUTH", ""}, {"AUTH", "default", ""},
	} {
		require.Regexp(t, "NOAUTH|WRONGPASS", nobody.Do(t.Context(), command...).Err(), "%v", command)
	}
	probe := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "probe", Password: "probe"})
	defer probe.Close()
	require.NoError(t, probe.Ping(t.Context()).Err())
	require.ErrorContains(t, probe.Get(t.Context(), "{sf:00}:due").Err(), "NOPERM")
}

// written are scripts of the function's user by how many keys each writes. Redis keeps more than one write of a script
// as a transaction in its append-only file.
var written = map[int]string{
	1: `redis.call('hset', KEYS[1], 'a', '1')`,
	2: `redis.call('hset', KEYS[1], 'a', '1') redis.call('zadd', KEYS[2], 1, 'a')`,
	3: `redis.call('hset', KEYS[1], 'a', '1') redis.call('zadd', KEYS[2], 1, 'a') redis.call('set', KEYS[3], 'a', 'px', 3e6)`,
}

func keysOf(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("{sf:%02d}:%d", n, i))
	}
	return keys
}

// write runs the scripts as the function's user.
func write(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	for n, script := range written {
		err := c.Eval(t.Context(), script+" return redis.status_reply('OK')", keysOf(n)).Err()
		require.NoError(t, err, "a script that writes %d keys", n)
	}
}

// requireWritten: all that the scripts wrote is there.
func requireWritten(t *testing.T, server *testbed.RedisServer) {
	t.Helper()
	for n := range written {
		for _, key := range keysOf(n) {
			there, err := server.Client().Exists(t.Context(), key).Result()
			require.NoError(t, err)
			require.EqualValues(t, 1, there, "%s has %s of a script that wrote %d keys", server.Addr, key, n)
		}
	}
}

// keepsWhatItTook: scripts that write one key and more outlive a SIGKILL of the server.
func keepsWhatItTook(t *testing.T, server *testbed.RedisServer) {
	t.Helper()
	write(t, client(t, server.URL))
	awaitOnDisk(t, server)
	require.NoError(t, server.Kill())
	require.NoError(t, server.Start())
	requireWritten(t, server)
	log, err := server.Log()
	require.NoError(t, err)
	require.NotContains(t, log, "sending an error to its AOF")
}

// awaitOnDisk waits until the server has written its append-only file.
func awaitOnDisk(t *testing.T, server *testbed.RedisServer) {
	t.Helper()
	testbed.Eventually(t, time.Minute, "the append-only file", func(ctx context.Context) error {
		info, err := server.Client().InfoMap(ctx, "persistence").Result()
		if err != nil {
			return err
		}
		p := info["Persistence"]
		if p["aof_enabled"] != "1" || p["aof_buffer_length"] != "0" || p["aof_pending_bio_fsync"] != "0" {
			return fmt.Errorf("it is not written yet: %v", p)
		}
		return nil
	})
}

// TestRedisHA: the scripts of deploy/redis/ha make servers that lose their master and go on, take the lost one back as
// a replica, and remember their roles when all of them are restarted. The function works through all of it under its
// ACL.
func TestRedisHA(t *testing.T) {
	t.Parallel()
	s := testbed.Sentinel(t)
	first, _ := roles(t, s)
	require.Equal(t, s.Servers[0], first)
	noWarnings(t, client(t, s.URL))
	// A failover takes longer than the two seconds after which the quick policy's storms end by themselves.
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(policies, []byte(strings.Replace(quick, "quiet: 2s", "quiet: 1h", 1)), 0o600))
	f := startFunction(t, s.URL, "STORMFOLD_REDIS_WAIT_REPLICAS=1", "STORMFOLD_POLICIES="+policies)
	f.send(t, 20, "firing")
	f.awaitStorm(t, 20, 20)

	require.NoError(t, first.Kill())
	f.send(t, 30, "firing") // Again and again, until another is the master.
	f.awaitStorm(t, 30, 30)
	second, _ := roles(t, s)
	require.NotEqual(t, first, second)

	require.NoError(t, first.Start())
	testbed.Eventually(t, time.Minute, "the Sentinels", s.Complete)
	third, _ := roles(t, s)
	require.Equal(t, second, third)

	restartAll(t, s)
	third, _ = roles(t, s)
	require.Equal(t, second, third)
	f.send(t, 40, "firing")
	f.awaitStorm(t, 40, 40)
	for _, server := range s.Servers {
		guarded(t, server)
	}
}

// TestRedisHAKeepsWhatItTook: each server of deploy/redis/ha has what it took after a SIGKILL of its own, so has the
// old master after it was replaced, and so have all after a SIGKILL of all.
func TestRedisHAKeepsWhatItTook(t *testing.T) {
	t.Parallel()
	s := testbed.Sentinel(t)
	all := func() {
		t.Helper()
		testbed.Eventually(t, time.Minute, "the Sentinels", s.Complete)
		for _, server := range s.Servers {
			requireWritten(t, server)
		}
	}
	write(t, client(t, s.URL))
	require.NoError(t, s.Client.Wait(t.Context(), 2, time.Minute).Err())
	for _, server := range s.Servers { // Each is back before the Sentinels miss it.
		awaitOnDisk(t, server)
		require.NoError(t, server.Kill())
		require.NoError(t, server.Start())
		requireWritten(t, server)
	}
	all()

	old, _ := roles(t, s)
	require.NoError(t, old.Kill())
	testbed.Eventually(t, time.Minute, "another master", func(ctx context.Context) error {
		master, _, err := s.Roles(ctx)
		if err == nil && master == old {
			err = fmt.Errorf("the master is still %s", old.Addr)
		}
		return err
	})
	require.NoError(t, old.Start())
	requireWritten(t, old)
	all()

	restartAll(t, s)
	all()
	for _, server := range s.Servers {
		log, err := server.Log()
		require.NoError(t, err)
		require.NotContains(t, log, "sending an error to its AOF")
	}
}

func roles(t *testing.T, s *testbed.RedisSentinel) (master *testbed.RedisServer, replicas []*testbed.RedisServer) {
	t.Helper()
	master, replicas, err := s.Roles(t.Context())
	require.NoError(t, err)
	return master, replicas
}

// restartAll kills all servers and all Sentinels and starts them again.
func restartAll(t *testing.T, s *testbed.RedisSentinel) {
	t.Helper()
	for _, server := range s.Servers {
		awaitOnDisk(t, server)
		require.NoError(t, server.Kill())
	}
	require.NoError(t, s.KillSentinels())
	for _, server := range s.Servers {
		require.NoError(t, server.Start())
	}
	require.NoError(t, s.StartSentinels())
	testbed.Eventually(t, time.Minute, "the Sentinels", s.Complete)
}

// TestRedisOfTheTrialMakesWay: the trial's Redis and the highly available one are different objects, so that one can be
// applied while the other is there: most fields of a StatefulSet cannot change.
func TestRedisOfTheTrialMakesWay(t *testing.T) {
	t.Parallel()
	of := func(dir string) (names []string) {
		for _, object := range render(t, filepath.Join(root, dir)) {
			if kind := object.GetKind(); kind == "StatefulSet" || kind == "Service" {
				names = append(names, kind+" "+object.GetName())
			}
		}
		return names
	}
	trial, ha := of("deploy/redis/trial"), of("deploy/redis/ha")
	require.Len(t, trial, 2)
	require.Len(t, ha, 4)
	for _, name := range trial {
		require.NotContains(t, ha, name)
	}
}
