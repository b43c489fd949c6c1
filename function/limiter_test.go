package function

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// counted is the value of a counter.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, c.Write(&m))
	return m.GetCounter().GetValue()
}

// With as many events at work as there may be, one more is refused at once, before it is looked at; when one is done,
// the next is taken.
func TestOverload(t *testing.T) {
	rdb := testbed.Redis(t)
	f, _ := startOnRedis(
		t,
		rdb,
		"CONCURRENCY",
		"3",
		"REDIS_BREAKER",
		"0s",
		"REDIS_TIMEOUT",
		"10s",
		"REQUEST_TIMEOUT",
		"20s",
	)
	p := f.pod.Load()
	require.NoError(t, rdb.Pause())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
			require.NoError(t, err)
		})
	}
	require.Eventually(t, func() bool { return p.limiter.inUse() == 3 }, 10*time.Second, time.Millisecond)
	broken := alertEvent(t, "web-1", "firing")
	broken.SetType("no.such.type")
	for range 100 {
		_, err := f.Handle(t.Context(), broken)
		require.Equal(t, http.StatusServiceUnavailable, code(t, err), "not even decoded")
		require.Equal(t, "overload", reasonIn(err))
	}
	require.EqualValues(t, 100, counted(t, p.metrics.events.WithLabelValues("other", "overload")))
	require.NoError(t, rdb.Resume())
	all.Wait()
	_, err := f.Handle(t.Context(), alertEvent(t, "web-1", "firing"))
	require.NoError(t, err)
	require.Zero(t, p.limiter.inUse())
	require.NoError(t, f.Stop(t.Context()))
}
