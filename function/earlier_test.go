package function

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
)

// Groups of the policies in force are no groups of earlier ones.
func TestKindsOfEarlierPolicies(t *testing.T) {
	now := config.Policies{List: []config.Policy{{Name: "a", Route: "1", GroupBy: []string{"x"}}, {Name: "b", Route: "2"}}}
	was := aggregator.Kind{Route: "0", Policy: "a", GroupBy: []string{"x"}}
	var kinds openKinds
	require.Empty(t, kinds.earlier(now), "before the first sweep")
	require.NoError(t, kinds.saw([]string{
		aggregator.KindOf(&now.List[0]).String(), was.String(), aggregator.KindOf(&now.List[1]).String(), was.String(),
	}))
	require.Equal(t, []aggregator.Kind{was}, kinds.earlier(now))
	require.Error(t, kinds.saw([]string{"x"}))

	// After a reload those that were in force are earlier ones at once, before any sweep.
	require.NoError(t, kinds.saw(nil))
	next := config.Policies{List: []config.Policy{{Name: "a", Route: "3", GroupBy: []string{"y"}}, now.List[1]}}
	require.Equal(t, []aggregator.Kind{aggregator.KindOf(&now.List[0])}, kinds.earlier(next))
	require.Equal(t, []aggregator.Kind{aggregator.KindOf(&now.List[0])}, kinds.earlier(next))
	kinds.until = time.Now().Add(-time.Second)
	require.Empty(t, kinds.earlier(next))
}

// While Redis does not answer, the breaker spares it the look for earlier groups too.
func TestEarlierGroupsArePastTheBreaker(t *testing.T) {
	f := New()
	startOn(t, f, "STORMFOLD_REDIS_TIMEOUT", "50ms", "STORMFOLD_REDIS_BREAKER", "1m")
	p := f.pod.Load()
	require.NoError(t, p.kinds.saw([]string{aggregator.Kind{Policy: "earlier", GroupBy: []string{"pod"}}.String()}))
	require.NoError(t, f.Parts.Redis.Close())
	refused := 0
	for range 8 {
		_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
		require.Error(t, err)
		if p.breaker.state(allShards) == 2 {
			refused++
		}
	}
	require.Equal(t, 8-unansweredEvents+1, refused)
	require.NoError(t, f.Stop(t.Context()))
}

// An alert that must not wait for Redis gets its incident also where it is a group of earlier policies that Redis does
// not answer for.
func TestAlertsPassThroughPastEarlierGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(path, []byte("policies: [{name: default, onRedisFailure: passthrough}]"), 0o600))
	f := New()
	memory := startOn(t, f, "STORMFOLD_REDIS_TIMEOUT", "50ms", "STORMFOLD_POLICIES", path)
	p := f.pod.Load()
	require.NoError(t, p.kinds.saw([]string{aggregator.Kind{Policy: "earlier", GroupBy: []string{"pod"}}.String()}))
	require.NoError(t, f.Parts.Redis.Close())
	_, err := f.Handle(t.Context(), alertEvent(t, "web-0", "firing"))
	require.Equal(t, http.StatusServiceUnavailable, code(t, err))
	list, err := memory.List(t.Context(), "stormfold", metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, v1alpha1.StateFiring, list.Items[0].Status.State)
	require.NoError(t, f.Stop(t.Context()))
}
