package deploy

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// outside are the commands that the function calls, and its scripts do not.
var outside = map[string]string{
	"acl|dryrun":     "whether the default user may replay the append-only file, at the start",
	"client|setinfo": "go-redis tells its name and version, to Redis 7.2 and later",
	"client|setname": "the option client_name of the URL",
	"cluster|slots":  "go-redis on Redis Cluster: which server has which slot",
	"command":        "go-redis on Redis Cluster: where a command's keys are",
	"eval":           "a script that Redis has forgotten",
	"evalsha":        "every script",
	"hmget":          "whether a storm that was read in pieces is still the same",
	"info":           "the version and the settings that lose data, at the start",
	"ping":           "whether Redis is there",
	"script|load":    "the scripts, at the start",
	"wait":           "STORMFOLD_REDIS_WAIT_REPLICAS",
	"zscan":          "the groups of a shard, to compare their objects with Kubernetes",
}

// rules are the rules of the function's user in Redis, one by one.
func rules(t *testing.T) []string {
	t.Helper()
	return strings.Fields(file(t, "deploy/redis/acl/function.acl"))
}

var call = regexp.MustCompile(`redis\.p?call\('([A-Z]+)'`)

// TestACLAllowsWhatIsCalled: the user of deploy/redis has the commands that scripts and Go call, and no other.
func TestACLAllowsWhatIsCalled(t *testing.T) {
	called := maps.Clone(outside)
	var scripts []string
	for _, pattern := range []string{"aggregator/lua/*.lua", "aggregator/lua/include/*.lua"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		scripts = append(scripts, files...)
	}
	for _, script := range scripts {
		content, err := os.ReadFile(script)
		require.NoError(t, err)
		for _, match := range call.FindAllStringSubmatch(string(content), -1) {
			called[strings.ToLower(match[1])] = filepath.Base(script)
		}
	}
	require.Equal(t, []string{"resetkeys", "~{sf:[0-9][0-9]}:*", "resetchannels", "-@all"}, rules(t)[:4])
	var allowed []string
	for _, rule := range rules(t)[4:] {
		allowed = append(allowed, strings.TrimPrefix(rule, "+"))
	}
	slices.Sort(allowed)
	require.Equal(t, slices.Sorted(maps.Keys(called)), allowed)
}

// TestFunctionUnderItsACL: a storm's whole life, and that of a Redis that was emptied, with a user that has these rules
// and nothing else, on one server and on a Cluster. Redis logs everything that it refused.
func TestFunctionUnderItsACL(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]string{
		"single":  nil,
		"cluster": {"--cluster-enabled", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testbed.Redis(t, options...)
			if options != nil {
				require.NoError(t, server.Client().ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
				testbed.Eventually(t, time.Minute, "the cluster", clusterOK(server.Client()))
			}
			setUser(t, server.Client(), "stormfold", "correct-horse")
			address := url.URL{Scheme: "redis", User: url.UserPassword("stormfold", "correct-horse"), Host: server.Addr}
			if options != nil {
				address.RawQuery = url.Values{"addr": {server.Addr}}.Encode()
			} else {
				address.RawQuery = url.Values{"client_name": {"stormfold"}}.Encode()
			}

			f := startFunction(t, address.String())
			f.send(t, 300, "firing") // More than a script reads at once.
			f.awaitStorm(t, 300, 300)
			require.NoError(t, server.Client().FlushAll(t.Context()).Err())
			f.send(t, 300, "firing")
			f.awaitStorm(t, 300, 300)
			require.NoError(t, server.Client().ScriptFlush(t.Context()).Err())
			f.send(t, 300, "resolved")
			f.awaitGone(t)
			testbed.Eventually(t, time.Minute, "the group's end in Redis", groupsGone(server.Client()))

			refused, err := server.Client().ACLLog(t.Context(), 100).Result()
			require.NoError(t, err)
			for _, r := range refused {
				t.Errorf("Redis refused %s by %s", r.Object, r.Reason)
			}

			// And what it may not do, so that the log above could have something in it.
			c := client(t, address.String())
			for _, command := range []string{"FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST", "SET other 1", "GET {sf:xx}:g",
				"HSET {sf:00}x a b", "MONITOR"} {
				args := []any{}
				for _, word := range strings.Fields(command) {
					args = append(args, word)
				}
				require.ErrorContains(t, c.Do(t.Context(), args...).Err(), "NOPERM", command)
			}
			require.NoError(t, c.Do(t.Context(), "EXISTS", "{sf:00}:due").Err())
			refused, err = server.Client().ACLLog(t.Context(), 100).Result()
			require.NoError(t, err)
			require.NotEmpty(t, refused)
		})
	}
}
