package function

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
)

// moody is a Kubernetes whose lists and creates a test can replace once it has begun.
type moody struct {
	projector.Memory
	list   func(ctx context.Context, options metav1.ListOptions) error
	create func(ctx context.Context) error
}

func (m *moody) List(
	ctx context.Context,
	namespace string,
	options metav1.ListOptions,
) (*v1alpha1.IncidentList, error) {
	if m.list != nil {
		if err := m.list(ctx, options); err != nil {
			return nil, err
		}
	}
	return m.Memory.List(ctx, namespace, options)
}

func (m *moody) Create(ctx context.Context, i *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	if m.create != nil {
		if err := m.create(ctx); err != nil {
			return nil, err
		}
	}
	return m.Memory.Create(ctx, i)
}

// startMoody starts a function that sweeps only when a test does, and leaves a group due that no pod remembers.
func startMoody(t *testing.T, api *moody, settings ...string) (p *pod, server *miniredis.Miniredis, group string) {
	server = miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { require.NoError(t, rdb.Close()) })
	f := New()
	f.Parts = Parts{Redis: rdb, Incidents: api}
	data := map[string]string{
		"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_LOG_LEVEL": "error",
	}
	for i := 0; i+1 < len(settings); i += 2 {
		data[settings[i]] = settings[i+1]
	}
	require.NoError(t, f.Start(t.Context(), data))
	p = f.pod.Load()
	p.stop() // Nobody sweeps from now on but the test.
	p.loops.Wait()
	alert := aggregator.Alert{
		Fingerprint: "00000000000000ff", Status: aggregator.Firing, NotifiedAt: time.Now(), StartsAt: time.Now(),
		Labels: map[string]string{"alertname": "PodDown", "namespace": "checkout", "pod": "web-0"},
	}
	policies := config.Default()
	for i := range policies.List {
		policies.List[i].Flush = config.Flush{}
	}
	folded, err := p.aggregator.Fold(
		t.Context(),
		aggregator.Split(policies, aggregator.Batch{Alerts: []aggregator.Alert{alert}}),
		func(aggregator.Group) string { return "stormfold" },
	)
	require.NoError(t, err)
	s, err := p.aggregator.Snapshot(t.Context(), folded[0].Group, folded[0].Token, true)
	require.NoError(t, err)
	_, err = p.aggregator.Settle(t.Context(), s, nil, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Stop(context.Background())) })
	return p, server, s.Group
}

func incidents(t *testing.T, api *moody) int {
	list, err := api.Memory.List(t.Context(), "stormfold", metav1.ListOptions{})
	require.NoError(t, err)
	return len(list.Items)
}

// A comparison that fails, because a list or Redis' memory is refused, leaves the groups of its shard to be written.
func TestASweepGoesOnAfterAComparisonThatFails(t *testing.T) {
	t.Run("list refused", func(t *testing.T) {
		api := &moody{}
		p, _, _ := startMoody(t, api)
		require.NoError(t, p.aggregator.LookAgain(t.Context()))
		api.list = func(context.Context, metav1.ListOptions) error { return errors.New("lists are refused") }
		require.ErrorContains(t, p.sweep(t.Context()), "lists are refused")
		require.Equal(t, 1, incidents(t, api))
	})
	t.Run("Redis out of memory", func(t *testing.T) {
		api := &moody{}
		p, server, _ := startMoody(t, api)
		require.NoError(t, p.aggregator.LookAgain(t.Context()))
		refuseLeases(server)
		require.ErrorIs(t, p.sweep(t.Context()), aggregator.ErrOutOfMemory)
		require.Equal(t, 1, incidents(t, api))
	})
	t.Run("never imported", func(t *testing.T) {
		api := &moody{}
		p, server, _ := startMoody(t, api)
		for shard := range aggregator.Shards {
			require.True(t, server.Del("{sf:"+aggregator.ShardName(shard)+"}:epoch"))
		}
		api.list = func(context.Context, metav1.ListOptions) error { return errors.New("lists are refused") }
		require.ErrorContains(t, p.sweep(t.Context()), "lists are refused")
		require.Zero(t, incidents(t, api), "nothing can be decided about it")
	})
}

// refuseLeases refuses the script calls of the import's lease, as a Redis does that has no memory left.
func refuseLeases(redis *miniredis.Miniredis) {
	redis.Server().SetPreHook(func(peer *server.Peer, cmd string, args ...string) bool {
		if strings.EqualFold(cmd, "evalsha") && slices.Contains(args, "begin") {
			peer.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
			return true
		}
		return false
	})
}

// A shard whose list hangs keeps no other shard waiting.
func TestASweepWaitsForNoComparison(t *testing.T) {
	api := &moody{}
	p, server, group := startMoody(t, api, "STORMFOLD_KUBE_TIMEOUT", "60s")
	require.NotZero(t, aggregator.ShardOf(group))
	require.NoError(t, server.Set("{sf:00}:epoch", "again"))
	api.list = func(ctx context.Context, _ metav1.ListOptions) error {
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.sweep(ctx) }()
	require.Eventually(t, func() bool { return incidents(t, api) == 1 }, 30*time.Second, 5*time.Millisecond)
	select {
	case err := <-done:
		t.Fatalf("the sweep is over: %v", err)
	default:
	}
	cancel()
	require.Error(t, <-done)
}

// An API server that hangs holds up a sweep for one interval at most, so that the next finds what has become due.
func TestASweepWaitsOneIntervalForWhatIsWritten(t *testing.T) {
	api := &moody{}
	release := make(chan struct{})
	p, _, _ := startMoody(t, api, "STORMFOLD_KUBE_TIMEOUT", "60s", "STORMFOLD_LEASE", "5m")
	p.settings.SweepInterval = 50 * time.Millisecond
	api.create = func(context.Context) error {
		<-release
		return nil
	}
	require.NoError(t, p.sweep(context.Background()))
	require.Zero(t, incidents(t, api))
	close(release)
	require.Eventually(t, func() bool { return incidents(t, api) == 1 }, 30*time.Second, 5*time.Millisecond)
}
