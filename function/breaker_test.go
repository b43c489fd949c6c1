package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// answered is an error that a server sent.
type answered string

func (a answered) Error() string { return string(a) }
func (a answered) RedisError()   {}

var _ redis.Error = answered("")

// inShard are groups of that shard.
func inShard(shard, n int) []aggregator.Group {
	out := make([]aggregator.Group, n)
	for i := range out {
		out[i].ID = fmt.Sprintf("%02x%014x", shard, i)
	}
	return out
}

// tell has the breaker see that many events with these outcomes of their groups.
func tell(b *breaker, times int, groups []aggregator.Group, errs ...error) {
	for range times {
		t := b.begin(groups)
		results := failed(groups, nil)
		for i := range results {
			results[i].Err = errs[min(i, len(errs)-1)]
		}
		t.end(results)
	}
}

func refuses(b *breaker, group aggregator.Group) bool {
	t := b.begin([]aggregator.Group{group})
	defer t.end(nil)
	_, refused := t.sort([]aggregator.Group{group})
	return len(refused) > 0
}

func TestBreakerOpensOnSilenceOnly(t *testing.T) {
	one := inShard(3, 1)
	for _, err := range []error{
		nil,
		fmt.Errorf("folding: %w: %w", aggregator.ErrOutOfMemory, answered("OOM")),
		fmt.Errorf("folding: %w: %w", aggregator.ErrScript, answered("ERR user_script")),
		fmt.Errorf("folding: %w: %w", aggregator.ErrRefused, answered("NOPERM")),
		fmt.Errorf("folding: %w: %w", aggregator.ErrUnavailable, answered("CLUSTERDOWN")),
		fmt.Errorf("folding: %w", aggregator.ErrReplicas),
		aggregator.ErrReply,
		errors.New("label too long"),
		fmt.Errorf("folding: %w: %w", aggregator.ErrGivenUp, context.Canceled),
	} {
		b := newBreaker(false, time.Hour, func(string, bool) { t.Errorf("opened by %v", err) })
		tell(b, 100, one, err)
		require.False(t, refuses(b, one[0]), "%v", err)
	}
	for _, err := range []error{
		fmt.Errorf("folding: %w: %w", aggregator.ErrTimeout, context.DeadlineExceeded),
		fmt.Errorf("folding: %w: connection refused", aggregator.ErrUnavailable),
	} {
		opened := 0
		b := newBreaker(
			false,
			time.Hour,
			func(shard string, open bool) { require.Equal(t, "all", shard); require.True(t, open); opened++ },
		)
		tell(b, unansweredEvents-1, one, err)
		tell(b, 1, one, nil) // One that gets through, and the count begins again.
		tell(b, unansweredEvents-1, one, err)
		require.False(t, refuses(b, one[0]))
		tell(b, unansweredEvents, one, err)
		require.Equal(t, 1, opened)
		_, refused := b.begin(one).sort(one)
		require.ErrorIs(t, firstError(refused), aggregator.ErrUnavailable)
		require.ErrorIs(t, firstError(refused), errOpen)
	}
	never := newBreaker(false, 0, nil)
	tell(never, 100, one, aggregator.ErrTimeout)
	require.False(t, refuses(never, one[0]))
}

// Of the groups of one event, one without an answer is enough, and each event counts once.
func TestBreakerCountsEvents(t *testing.T) {
	groups := inShard(3, 3)
	b := newBreaker(false, time.Hour, func(string, bool) {})
	tell(b, unansweredEvents-1, groups, aggregator.ErrOutOfMemory, aggregator.ErrTimeout, nil)
	require.Equal(t, gobreaker.StateClosed, b.each[0].State())
	tell(b, 1, groups, aggregator.ErrOutOfMemory, aggregator.ErrTimeout, nil)
	require.True(t, refuses(b, groups[0]))
}

// On a Cluster a shard whose master is away does not hold up the others.
func TestBreakerOfEachShardOfACluster(t *testing.T) {
	var opened []string
	b := newBreaker(true, time.Hour, func(shard string, _ bool) { opened = append(opened, shard) })
	event := []aggregator.Group{inShard(3, 1)[0], inShard(4, 1)[0]}
	tell(b, unansweredEvents, event, aggregator.ErrTimeout, nil)
	require.Equal(t, []string{"03"}, opened)
	require.True(t, refuses(b, event[0]))
	require.False(t, refuses(b, event[1]))
}

// After the pause one event finds out; what it finds decides.
func TestBreakerTriesOneEvent(t *testing.T) {
	one := inShard(3, 1)
	b := newBreaker(false, 20*time.Millisecond, func(string, bool) {})
	for _, found := range []error{aggregator.ErrTimeout, nil} {
		tell(b, unansweredEvents, one, aggregator.ErrTimeout)
		var probe *try
		require.Eventually(t, func() bool {
			probe = b.begin(one)
			_, refused := probe.sort(one)
			return len(refused) == 0
		}, 10*time.Second, time.Millisecond)
		require.True(t, probe.probing)
		require.True(t, refuses(b, one[0]), "one at a time")
		probe.end(failed(one, found))
		require.Equal(t, found != nil, refuses(b, one[0]))
	}
}

// startOnRedis starts a function on a real Redis.
func startOnRedis(t *testing.T, rdb *testbed.RedisServer, settings ...string) (*Function, *projector.Memory) {
	t.Helper()
	all := map[string]string{
		"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_LOG_LEVEL": "error",
		"STORMFOLD_POLICIES":  testbed.OnePolicyFile(t),
		"STORMFOLD_REDIS_URL": rdb.URL,
	}
	for i := 0; i+1 < len(settings); i += 2 {
		all["STORMFOLD_"+settings[i]] = settings[i+1]
	}
	memory := &projector.Memory{}
	f := New()
	f.Parts = Parts{Incidents: memory}
	require.NoError(t, f.Start(t.Context(), all))
	return f, memory
}

// flood has so many senders send one event after the other for a while. It returns the answers and the longest wait.
func flood(
	t *testing.T,
	f *Function,
	senders int,
	during time.Duration,
) (answers map[string]int, longest time.Duration) {
	t.Helper()
	answers = map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(during)
	for i := range senders {
		all.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				start := time.Now()
				_, err := f.Handle(context.Background(), alertEvent(t, fmt.Sprintf("web-%d-%d", i, n), "firing"))
				took := time.Since(start)
				answer := "ok"
				if err != nil {
					answer = reasonIn(err)
				}
				mu.Lock()
				answers[answer]++
				longest = max(longest, took)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond) // A sender's backoff.
			}
		})
	}
	all.Wait()
	return answers, longest
}

// reasonIn is the reason that begins an answer's sentence, behind its status.
func reasonIn(err error) string {
	_, sentence, _ := strings.Cut(err.Error(), ": ")
	reason, _, _ := strings.Cut(sentence, ":")
	return reason
}

// A Redis that hangs: every answer comes within the budget, and once the breaker is open at once; the next delivery
// after it is back is accepted. Without the breaker the same senders get far fewer answers, each after the whole
// budget.
func TestRedisHangs(t *testing.T) {
	rdb := testbed.Redis(t)
	const senders, during = 60, 4 * time.Second
	refused := map[string]int{}
	for _, pause := range []string{"0s", "200ms"} {
		f, _ := startOnRedis(t, rdb, "REDIS_BREAKER", pause, "REDIS_TIMEOUT", "300ms", "REQUEST_TIMEOUT", "1s")
		_, err := f.Handle(t.Context(), alertEvent(t, "before", "firing"))
		require.NoError(t, err)
		require.NoError(t, rdb.Pause())
		answers, longest := flood(t, f, senders, during)
		t.Logf("breaker %s: %v, the longest wait %s", pause, answers, longest)
		require.Zero(t, answers["ok"])
		for reason, n := range answers {
			require.Contains(t, []string{"redis_timeout", "redis_unavailable"}, reason)
			refused[pause] += n
		}
		require.Less(t, longest, 3*time.Second, "the budget of 1 s bounds every retry")

		require.NoError(t, rdb.Resume())
		require.Eventually(t, func() bool {
			_, err := f.Handle(t.Context(), alertEvent(t, "after", "firing"))
			return err == nil
		}, 10*time.Second, 20*time.Millisecond)
		for range 50 {
			_, err := f.Handle(t.Context(), alertEvent(t, "after", "firing"))
			require.NoError(t, err, "one that gets through lets all through")
		}
		require.NoError(t, f.Stop(t.Context()))
	}
	require.Greater(t, refused["200ms"], 5*refused["0s"], "events refused with and without a breaker")
}

// Out of memory Redis answers fast: the breaker stays closed, and the next event after some was freed is taken.
func TestRedisOutOfMemoryOpensNoBreaker(t *testing.T) {
	rdb := testbed.Redis(t)
	f, _ := startOnRedis(t, rdb, "REDIS_BREAKER", "1m")
	require.NoError(t, rdb.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
	for range 3 * unansweredEvents {
		_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
		require.Equal(t, http.StatusServiceUnavailable, code(t, err))
		require.Equal(t, "redis_oom", reasonIn(err))
	}
	require.NoError(t, rdb.Client().ConfigSet(t.Context(), "maxmemory", "0").Err())
	_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
	require.NoError(t, err)
	require.NoError(t, f.Stop(t.Context()))
}
