package source

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWaitForSink: without K_SINK the process is alive and not ready, refuses notifications so that they come again,
// and ends when it is told to; a wrong setting is an error at once.
func TestWaitForSink(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, map[string]string{addressKey: address, prefix + "LOG_LEVEL": "error"}) }()

	get := func(method, path string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://%s%s", address, path), nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	require.Eventually(t, func() bool {
		code, err := get(http.MethodGet, "/livez")
		return err == nil && code == http.StatusOK
	}, time.Minute, 5*time.Millisecond)
	for path, method := range map[string]string{"/healthz": http.MethodGet, "/": http.MethodPost} {
		code, err := get(method, path)
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, code, path)
	}
	cancel()
	assert.NoError(t, <-ended)
	assert.ErrorContains(t, Run(t.Context(), map[string]string{prefix + "CONCURRENCY": "none"}), prefix+"CONCURRENCY: ")
}
