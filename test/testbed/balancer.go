package testbed

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// Balancer is one address for several servers, which it calls in turn, as a Kubernetes Service does. A call that
// reaches none is answered with 503, and not tried on another: that is up to the client.
type Balancer struct {
	URL string

	next, unreached atomic.Int64
}

// Balance starts a Balancer in front of the servers with these URLs, for a test.
func Balance(t testing.TB, urls ...string) *Balancer {
	t.Helper()
	var targets []*url.URL
	for _, target := range urls {
		parsed, err := url.Parse(target)
		if err != nil {
			t.Fatalf("testbed: %v", err)
		}
		targets = append(targets, parsed)
	}
	if len(targets) == 0 {
		t.Fatal("testbed: a Balancer needs a server")
	}
	b := &Balancer{}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(targets[int(b.next.Add(1)-1)%len(targets)]) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.unreached.Add(1)
			http.Error(w, fmt.Sprintf("no answer from the server: %v", err), http.StatusServiceUnavailable)
		},
	})
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	b.URL = server.URL
	return b
}

// Calls counts the calls so far.
func (b *Balancer) Calls() int { return int(b.next.Load()) }

// Unreached counts the calls so far that no server answered.
func (b *Balancer) Unreached() int { return int(b.unreached.Load()) }
