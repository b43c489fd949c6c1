package deploy

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

// member is a server or a Sentinel as a StatefulSet of deploy/redis/ha starts it: with its script, and files that outlive it.
type member struct {
	*testbed.Process
	port  int
	start func() *testbed.Process
}

func (m *member) restart() { m.Process = m.start() }

// highlyAvailable starts what deploy/redis/ha starts, on loopback, and returns the servers, the Sentinels and the URL for the
// function.
func highlyAvailable(t *testing.T) (servers, sentinels []*member, address string) {
	t.Helper()
	ha := filepath.Join(root, "deploy/redis/ha")
	conf, path := mounted(t, ha), redisPath(t)
	first := testbed.Port(t)
	launch := func(name, script string, port int) *member {
		data := t.TempDir()
		env := []string{
			"BIND=127.0.0.1", "HOST=127.0.0.1", "PORT=" + strconv.Itoa(port), "FIRST=127.0.0.1", "FIRST_PORT=" + strconv.Itoa(first),
			"CONF=" + conf, "DATA=" + data, "STORMFOLD_PASSWORD=function-password", "REPLICATION_PASSWORD=replication-password",
			"SENTINEL_PASSWORD=sentinel-password", path,
		}
		script, err := filepath.Abs(filepath.Join(ha, script))
		require.NoError(t, err)
		m := &member{port: port, start: func() *testbed.Process { return testbed.Start(t, name, env, "/bin/sh", script) }}
		m.restart()
		return m
	}
	var addrs []string
	for i := range 3 {
		port := first
		if i > 0 {
			port = testbed.Port(t)
		}
		servers = append(servers, launch(fmt.Sprintf("redis-%d", i), "redis.sh", port))
	}
	for i := range 3 {
		port := testbed.Port(t)
		sentinels = append(sentinels, launch(fmt.Sprintf("sentinel-%d", i), "sentinel.sh", port))
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", port))
	}
	u := url.URL{Scheme: "redis", User: url.UserPassword("", "sentinel-password"), Host: addrs[0], Path: "/0", RawQuery: url.Values{
		"addr": addrs[1:], "master_name": {"stormfold"}, "username": {"stormfold"}, "password": {"function-password"},
	}.Encode()}
	awaitSentinels(t, sentinels)
	return servers, sentinels, u.String()
}

// mounted makes the directory that a pod has of the ConfigMaps of a directory of deploy/redis.
func mounted(t *testing.T, dir string) string {
	t.Helper()
	conf := t.TempDir()
	for from, to := range map[string]string{
		filepath.Join(dir, "redis.conf"):                     "redis/redis.conf",
		filepath.Join(root, "deploy/redis/acl/function.acl"): "acl/function.acl",
	} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(conf, to)), 0o700))
		known := strings.Join(rulesFor("redis_version:7.0.", strings.Split(string(content), " ")), " ")
		require.NoError(t, os.WriteFile(filepath.Join(conf, to), []byte(known), 0o600))
	}
	return conf
}

// redisPath is the environment in which the scripts find the testbed's Redis.
func redisPath(t *testing.T) string {
	t.Helper()
	path, err := testbed.Program("redis-server")
	require.NoError(t, err)
	return "PATH=" + filepath.Dir(path) + ":" + os.Getenv("PATH")
}

// TestRedisTrial: the script of deploy/redis/trial makes a server that the Secret's user may use, and nobody else.
func TestRedisTrial(t *testing.T) {
	t.Parallel()
	port, trial := testbed.Port(t), filepath.Join(root, "deploy/redis/trial")
	script, err := filepath.Abs(filepath.Join(trial, "start.sh"))
	require.NoError(t, err)
	testbed.Start(t, "redis", []string{
		"BIND=127.0.0.1", "PORT=" + strconv.Itoa(port), "CONF=" + mounted(t, trial), "DATA=" + t.TempDir(), "RUN=" + t.TempDir(),
		"STORMFOLD_PASSWORD=trial", redisPath(t),
	}, "/bin/sh", script)
	secret := find(t, render(t, trial), "Secret", "stormfold-redis")
	encoded, _, err := unstructured.NestedString(secret.Object, "data", "url")
	require.NoError(t, err)
	address, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	local := strings.Replace(string(address), "stormfold-redis:6379", fmt.Sprintf("127.0.0.1:%d", port), 1)
	c := client(t, local)
	testbed.Eventually(t, time.Minute, "Redis", func(ctx context.Context) error { return c.Ping(ctx).Err() })
	noWarnings(t, c)
	nobody := client(t, fmt.Sprintf("redis://127.0.0.1:%d/0", port))
	require.ErrorContains(t, nobody.Ping(t.Context()).Err(), "NOAUTH")
}

// noWarnings: the server has none of the settings that the function warns about at its start.
func noWarnings(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	warnings, err := aggregator.New(aggregator.Options{Redis: c, Lease: time.Second}).Warnings(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
}

// awaitSentinels waits until every Sentinel knows two replicas that follow, and the two others.
func awaitSentinels(t *testing.T, sentinels []*member) {
	t.Helper()
	for _, s := range sentinels {
		c := redis.NewSentinelClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", s.port), Password: "sentinel-password"})
		testbed.Eventually(t, time.Minute, "the Sentinels", func(ctx context.Context) error {
			master, err := c.Master(ctx, "stormfold").Result()
			if err != nil {
				return err
			}
			replicas, err := c.Replicas(ctx, "stormfold").Result()
			if err != nil {
				return err
			}
			for _, r := range replicas {
				if r["master-link-status"] != "ok" || r["flags"] != "slave" {
					return fmt.Errorf("%s is %s and its link is %s", r["name"], r["flags"], r["master-link-status"])
				}
			}
			if len(replicas) != 2 || master["num-other-sentinels"] != "2" || master["flags"] != "master" {
				return fmt.Errorf("%d replicas of %v", len(replicas), master)
			}
			return nil
		})
		require.NoError(t, c.Close())
	}
}

// master is the port of the server that takes writes, as the Sentinels say.
func master(t *testing.T, sentinel *member) int {
	t.Helper()
	c := redis.NewSentinelClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", sentinel.port), Password: "sentinel-password"})
	defer c.Close()
	address, err := c.GetMasterAddrByName(t.Context(), "stormfold").Result()
	require.NoError(t, err)
	port, err := strconv.Atoi(address[1])
	require.NoError(t, err)
	return port
}

// TestRedisHA: the scripts of deploy/redis/ha make servers that lose their master and go on, take the lost one back as a
// replica, and remember their roles when all of them are started anew. The function works through all of it under its ACL.
func TestRedisHA(t *testing.T) {
	t.Parallel()
	servers, sentinels, address := highlyAvailable(t)
	require.Equal(t, servers[0].port, master(t, sentinels[0]))
	noWarnings(t, client(t, address))
	// A failover takes longer than the two seconds after which the quick policy's storms end by themselves.
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(policies, []byte(strings.Replace(quick, "quiet: 2s", "quiet: 1h", 1)), 0o600))
	f := startFunction(t, address, "STORMFOLD_REDIS_WAIT_REPLICAS=1", "STORMFOLD_POLICIES="+policies)
	f.send(t, 20, "firing")
	f.awaitStorm(t, 20, 20)

	require.NoError(t, servers[0].Kill())
	f.send(t, 30, "firing") // Again and again, until another is the master.
	f.awaitStorm(t, 30, 30)
	second := master(t, sentinels[0])
	require.NotEqual(t, servers[0].port, second)

	servers[0].restart()
	awaitSentinels(t, sentinels)
	require.Equal(t, second, master(t, sentinels[0]))

	for _, m := range append(servers, sentinels...) {
		require.NoError(t, m.Kill())
	}
	for _, m := range append(servers, sentinels...) {
		m.restart()
	}
	awaitSentinels(t, sentinels)
	require.Equal(t, second, master(t, sentinels[0]))
	f.send(t, 40, "firing")
	f.awaitStorm(t, 40, 40)

	for _, s := range servers {
		c := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", s.port), Username: "probe", Password: "probe"})
		require.NoError(t, c.Ping(t.Context()).Err(), "the readiness probe")
		require.ErrorContains(t, c.Get(t.Context(), "{sf:00}:due").Err(), "NOPERM")
		require.NoError(t, c.Close())
		nobody := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", s.port)})
		require.ErrorContains(t, nobody.Ping(t.Context()).Err(), "NOAUTH")
		require.NoError(t, nobody.Close())
	}
}
