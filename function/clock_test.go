package function

import (
	"net/http"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/projector"
)

// An event is too far ahead when it is so by both clocks, Redis' and the pod's: a Redis whose clock is behind refuses
// nothing.
func TestOnlyBothClocksRefuseAnEvent(t *testing.T) {
	for name, c := range map[string]struct {
		redis, event time.Duration
		code         int
	}{
		"all right":                   {0, 0, http.StatusOK},
		"Redis behind":                {-15 * time.Minute, 0, http.StatusOK},
		"Redis far behind":            {-30 * 24 * time.Hour, 9 * time.Minute, http.StatusOK},
		"the pod behind":              {15 * time.Minute, 15 * time.Minute, http.StatusOK},
		"the sender ahead":            {0, 11 * time.Minute, http.StatusBadRequest},
		"the sender ahead of both":    {15 * time.Minute, 26 * time.Minute, http.StatusBadRequest},
		"the sender ahead, not Redis": {-15 * time.Minute, 11 * time.Minute, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			server.SetTime(time.Now().Add(c.redis))
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			f := New()
			f.Parts = Parts{Redis: client, Incidents: &projector.Memory{}}
			require.NoError(t, f.Start(t.Context(), map[string]string{
				"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_LOG_LEVEL": "error",
			}))
			ev := alertEvent(t, "web-0", "firing")
			ev.SetTime(time.Now().Add(c.event))
			_, err := f.Handle(t.Context(), ev)
			require.Equal(t, c.code, code(t, err), "%v", err)
			require.NoError(t, f.Stop(t.Context()))
		})
	}
}

// When Redis' clock is set back a sweep makes all groups due.
func TestASweepFollowsAClockThatIsSetBack(t *testing.T) {
	api := &moody{}
	p, server, group := startMoody(t, api)
	require.NoError(t, p.sweep(t.Context()))
	require.Equal(t, 1, incidents(t, api))
	due := func() time.Duration {
		next, err := p.aggregator.NextDue(t.Context(), aggregator.ShardOf(group), time.Time{})
		require.NoError(t, err)
		return next.Sub(p.aggregator.Now())
	}
	require.Greater(t, due(), 15*time.Minute, "the next that can happen is its end by quiet")
	server.SetTime(time.Now().Add(-15 * time.Minute))
	require.NoError(t, p.sweep(t.Context()))
	require.Zero(t, due().Round(time.Second))
}
