package service

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener of connections that a test makes, in the time of its bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestConnectionsOutliveThoseOfQueueProxy: queue-proxy keeps idle connections for 90 s, also those on which it has sent
// nothing yet. A server that closes one first may do so while a request is on its way, which queue-proxy answers with
// 502.
func TestConnectionsOutliveThoseOfQueueProxy(t *testing.T) {
	s := New(&echo{})
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		ended := make(chan error)
		go func() { ended <- s.Serve(listener) }()
		client, server := net.Pipe()
		listener <- server
		answers := bufio.NewReader(client)
		for range 3 {
			time.Sleep(queueProxyIdle)
			body := strings.Repeat("x", 10_000) // More than comes with the headers.
			_, err := fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			require.NoError(t, err, "the server has closed an idle connection")
			answer, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Contains(t, string(text), "the request is not a CloudEvent")
		}
		require.NoError(t, client.Close())
		close(listener)
		require.ErrorIs(t, <-ended, net.ErrClosed)
		require.NoError(t, s.Close())
	})
}
