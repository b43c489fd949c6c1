package service

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/handlers"
)

// slow is a function whose events take until they are let go.
type slow struct {
	echo
	began, end chan struct{}
}

func (s *slow) Handle(context.Context, event.Event) (*event.Event, error) {
	s.began <- struct{}{}
	<-s.end
	return nil, nil
}

// What is held in memory at once is bounded in bytes: a body beyond that is refused before it is kept, to come again.
func TestBodiesInProgressAreBounded(t *testing.T) {
	f := &slow{began: make(chan struct{}), end: make(chan struct{})}
	url := serve(t, f)
	var all sync.WaitGroup
	for range maxBodies / handlers.MaxBody {
		all.Go(func() {
			status, text := send(t, http.MethodPost, url, binaryMode, strings.NewReader(full(handlers.MaxBody)))
			require.Equal(t, http.StatusOK, status, text)
		})
		<-f.began
	}
	for _, body := range []string{"{}", full(handlers.MaxBody)} {
		status, text := send(t, http.MethodPost, url, binaryMode, strings.NewReader(body))
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.True(t, strings.HasPrefix(text, "overload: "), text)
	}
	// The refusal of a body leaves the connection as it was: a proxy gets the answer, and no broken pipe.
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for try := range 2 {
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, url,
			strings.NewReader(full(handlers.MaxBody)))
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		assert.Equal(t, try > 0, reused)
	}
	close(f.end)
	all.Wait()
	go func() { <-f.began }()
	status, _ := send(t, http.MethodPost, url, binaryMode, strings.NewReader("{}"))
	require.Equal(t, http.StatusOK, status)
}
