package aggregator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--maxmemory", "100mb", "--appendonly", "yes"}, nil},
		{[]string{"--maxmemory", "100mb", "--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"},
			[]string{"maxmemory-policy is allkeys-lru"}},
		{nil, []string{"maxmemory is 0", "neither an append-only file nor a replica"}},
	} {
		r := testbed.Redis(t, c.args...)
		got, err := New(Options{Redis: r.Client(), Lease: time.Second}).Warnings(t.Context())
		require.NoError(t, err)
		require.Len(t, got, len(c.want), "%v", got)
		for i, want := range c.want {
			require.Contains(t, got[i], want)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	require.NoError(t, checkVersion("# Server\r\nredis_version:7.0.15\r\n"))
	require.NoError(t, checkVersion("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n"))
	require.ErrorContains(
		t,
		checkVersion("redis_version:6.2.7\r\n"),
		"is version 6.2.7: Stormfold needs Redis 7 or later, or Valkey",
	)
	require.ErrorContains(t, checkVersion(""), "does not report its version")
}
