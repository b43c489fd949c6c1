package source

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/lookup"
)

// known is a cluster in a test; nil is one that is not known yet.
type known struct{ inventory *lookup.Inventory }

func (k known) Inventory() *lookup.Inventory { return k.inventory }

// What is found is added to the alert; the rest of it stays as it is, byte for byte.
func TestLookupsAreAdded(t *testing.T) {
	inventory, err := lookup.Read([]byte(`{"nodes": {"n1": {"zone": "a"}}, "pods": {"shop/web-0": {"node": "n1"}}}`))
	require.NoError(t, err)
	const (
		found   = `{"status":"firing","labels":{"namespace":"shop","pod":"web-0"},"later":[{"x":1}]`
		unknown = `{"status":"firing","labels":{"namespace":"shop","pod":"web-1"}}`
		own     = `{"status":"firing","labels":{"namespace":"shop","pod":"web-0"},"lookups":{"node":"n7"}}`
		odd     = `{"status":"firing","labels":{"namespace":"shop","pod":7}}`
	)
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	s.cluster = known{inventory}
	code, text := post(s, aWebhook(found+`}`, unknown, own, odd, found+`}`))
	require.Equal(t, 200, code, text)
	const added = found + `,"lookups":{"node":"n1","zone":"a"}}`
	require.Equal(t, []string{added, unknown, own, odd, added}, alertsOf(t, sink.accepted()))
	require.Equal(t, 2., valueOf(t, s.metrics.lookups.WithLabelValues("found")))
	require.Equal(t, 3., valueOf(t, s.metrics.lookups.WithLabelValues("unknown")))

	s.cluster = known{}
	code, text = post(s, aWebhook(found+`}`))
	require.Equal(t, 200, code, text)
	require.Equal(t, found+`}`, alertsOf(t, sink.accepted()[1:])[0])
	require.Equal(t, 1., valueOf(t, s.metrics.lookups.WithLabelValues("unsynced")))
}

// With an API server that is down, or that never answers, the source starts, and sends alerts as they are.
func TestLookupsWithoutAnAPIServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	t.Setenv("KUBECONFIG", file)
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(release) })
	for _, server := range []string{"http://127.0.0.1:1", hangs.URL} {
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
			"clusters": [{"name": "c", "cluster": {"server": %q}}],
			"contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, server), 0o600))
		sink := newRecorder(t)
		server, err := Start(settingsFor(t, sink.URL, lookupsKey, "true"))
		require.NoError(t, err)
		code, text, err := send(t.Context(), sink.Client(), "http://"+server.Address(), aWebhook(anAlert(1, 0)))
		require.NoError(t, err)
		require.Equal(t, 200, code, text)
		require.Equal(t, []string{anAlert(1, 0)}, alertsOf(t, sink.accepted()))
		require.NoError(t, server.Stop())
	}

	t.Setenv("KUBECONFIG", file+"-gone")
	_, err := Start(settingsFor(t, "http://127.0.0.1:1", lookupsKey, "true"))
	require.ErrorContains(t, err, "STORMFOLD_SOURCE_LOOKUPS: there is no connection to Kubernetes: ")
	require.False(t, strings.Contains(err.Error(), "\n"))
}
