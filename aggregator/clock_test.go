package aggregator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// A pod whose clock is minutes off goes by Redis' clock: the scripts are told to read it, and what the pod takes for the time
// follows it with every fold.
func TestOnlyRedisClockCounts(t *testing.T) {
	l := newLab(t, nil)
	a := New(Options{Redis: l.rdb, Lease: time.Second})
	require.NoError(t, a.Load(t.Context()))
	require.Zero(t, a.scriptTime())
	near := func(want time.Time) { require.WithinDuration(t, want, a.Now(), 30*time.Second) }
	near(time.Now())
	a.sawClock(time.Now().Add(-7 * time.Minute)) // As if this pod were seven minutes ahead of Redis.
	near(time.Now().Add(-7 * time.Minute))
	alert := l.alert("web-0", Firing)
	alert.NotifiedAt = time.Now()
	folded, err := a.Fold(t.Context(), Split(testbed.OnePolicy(), Batch{Alerts: []Alert{alert}}), func(Group) string { return "stormfold" })
	require.NoError(t, err)
	near(folded[0].Now)
	near(time.Now())
}
