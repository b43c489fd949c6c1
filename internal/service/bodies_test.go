package service

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
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

// What is held in memory at once is bounded in bytes: a body beyond that is refused before it is read, to come again.
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
	close(f.end)
	all.Wait()
	go func() { <-f.began }()
	status, _ := send(t, http.MethodPost, url, binaryMode, strings.NewReader("{}"))
	require.Equal(t, http.StatusOK, status)
}
