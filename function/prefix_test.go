package function

import (
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/projector"
)

// A function keeps to its prefix, and one that meets another format under its own ends with a sentence and not by
// waiting for Redis.
func TestTwoInstallationsOnOneRedis(t *testing.T) {
	blue := New()
	startOn(t, blue, "STORMFOLD_REDIS_PREFIX", "blue-2")
	handled(t, blue, alertEvent(t, "web-0", "firing"))
	rdb := blue.Parts.Redis.(*redis.Client)
	keys := rdb.Keys(t.Context(), "*").Val()
	require.Contains(t, keys, "{blue-2:00}:format")
	for _, key := range keys {
		require.True(t, strings.HasPrefix(key, "{blue-2:"), key)
	}

	require.NoError(t, rdb.Set(t.Context(), "{sf:00}:format", "4", 0).Err())
	other := New()
	other.Parts = Parts{Redis: rdb, Incidents: &projector.Memory{}}
	err := other.Start(
		t.Context(),
		map[string]string{"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off"},
	)
	require.ErrorContains(
		t,
		err,
		"under the keys {sf:*} of this Redis, in format 4 where this one writes 3: stop that version, ",
	)
	require.NoError(t, blue.Stop(t.Context()))
}

// A key of another program under the name of a group is no failure of Redis: 503 internal, and the breaker stays
// closed.
func TestAForeignKeyIsNoFailureOfRedis(t *testing.T) {
	f, _ := start(t)
	handled(t, f, alertEvent(t, "web-0", "firing"))
	p, rdb := f.pod.Load(), f.Parts.Redis.(*redis.Client)
	groups := rdb.Keys(t.Context(), "{sf:*}:g:*:alerts").Val()
	require.Len(t, groups, 1)
	group := strings.TrimSuffix(groups[0], ":alerts")
	require.NoError(t, rdb.Set(t.Context(), group, "someone else's", 0).Err())
	for range 2 * unansweredEvents {
		_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
		require.Equal(t, http.StatusServiceUnavailable, code(t, err))
		require.ErrorContains(t, err, "internal: ")
	}
	require.Zero(t, p.breaker.state(allShards))
}
