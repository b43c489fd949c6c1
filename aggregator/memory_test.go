package aggregator

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

func TestMemory(t *testing.T) {
	limited := testbed.Redis(t, "--maxmemory", "64mb")
	m, err := New(Options{Redis: limited.Client(), Lease: time.Second}).Memory(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 64<<20, m.Max)
	require.Greater(t, m.Used, int64(100_000))
	require.Less(t, m.Used, m.Max)

	m, err = New(Options{Redis: server.Client(), Lease: time.Second}).Memory(t.Context())
	require.NoError(t, err)
	require.Zero(t, m.Max, "no limit")

	// A user that may not ask.
	require.NoError(t, limited.Client().Do(t.Context(), "ACL", "SETUSER", "blind", "on", ">x", "+@all", "-info").Err())
	blind := redis.NewClient(&redis.Options{Addr: limited.Addr, Username: "blind", Password: "x"})
	defer blind.Close()
	_, err = New(Options{Redis: blind, Lease: time.Second}).Memory(t.Context())
	require.ErrorIs(t, err, ErrRefused)
}

// On a Cluster the number is that of one server.
func TestMemoryOfACluster(t *testing.T) {
	one := testbed.Redis(t, "--cluster-enabled", "yes", "--maxmemory", "32mb")
	require.NoError(t, one.Client().ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{one.Addr}})
	defer cluster.Close()
	m, err := New(Options{Redis: cluster, Lease: time.Second}).Memory(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 32<<20, m.Max)
	require.Positive(t, m.Used)
}
