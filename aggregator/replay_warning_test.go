package aggregator

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestReplayWarning: an append-only file and a default user that may not replay it.
func TestReplayWarning(t *testing.T) {
	const warns = "set the default user to off ~* &* +@all"
	for _, c := range []struct {
		name, aof, defaultUser, user string
		warned                       bool
	}{
		{"as Redis comes", "yes", "on ~* &* +@all", "+@all", false},
		{"off", "yes", "off ~* &* +@all", "+@all", false},
		{"off without permissions", "yes", "off resetkeys -@all", "+@all", true},
		{"off without one command of ours", "yes", "off ~* &* +@all -zadd", "+@all", true},
		{"off without keys", "yes", "off resetkeys +@all", "+@all", true},
		{"off without permissions, no file", "no", "off resetkeys -@all", "+@all", false},
		{"seen with as few permissions as the function has", "yes", "off resetkeys -@all", "-@all +info +acl|dryrun", true},
		{"not to be seen", "yes", "off resetkeys -@all", "-@all +info", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := testbed.Redis(t, "--maxmemory", "100mb", "--appendonly", c.aof)
			setUser := func(name, rules string) {
				args := []any{"ACL", "SETUSER", name}
				for _, rule := range strings.Fields(rules) {
					args = append(args, rule)
				}
				require.NoError(t, server.Client().Do(t.Context(), args...).Err())
			}
			setUser("stormfold", "on >secret ~* "+c.user)
			setUser("default", c.defaultUser) // The client stays whom it is.
			rdb := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "stormfold", Password: "secret"})
			t.Cleanup(func() { require.NoError(t, rdb.Close()) })
			got, err := New(Options{Redis: rdb, Lease: time.Second}).Warnings(t.Context())
			require.NoError(t, err)
			said := strings.Join(got, "\n")
			require.Equal(t, c.warned, strings.Contains(said, warns), said)
			require.NotContains(t, said, "\r")
		})
	}
}
