package testbed

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTrialRedisWithClock(t *testing.T) {
	r, clock := TrialRedisWithClock(t)
	for _, ahead := range []time.Duration{0, -time.Hour, 3 * time.Hour, 0} {
		clock.Set(ahead)
		now, err := r.Client().Time(t.Context()).Result()
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(ahead), now, time.Second)
		scripted, err := r.Client().Eval(t.Context(), "return tonumber(redis.call('TIME')[1])", nil).Int64()
		require.NoError(t, err)
		require.InDelta(t, time.Now().Add(ahead).Unix(), scripted, 2)
	}
}
