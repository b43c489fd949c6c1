package testbed

import (
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

// clusterDomain ends the names of the cluster's Services.
const clusterDomain = ".svc.cluster.local"

// names replaces the cluster's DNS and Services: an HTTP proxy that knows where on loopback a Service's process
// listens.
type names struct {
	url    string
	server *http.Server
	served chan error

	mu     sync.RWMutex
	routes map[string]string
}

// serveNames starts the proxy. A route leads from a host name, or from an asterisk with the end of one, which is for
// what no whole name is for, to host:port.
func serveNames(routes map[string]string) (*names, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return nil, err
	}
	n := &names{url: "http://" + loopback(port), served: make(chan error, 1), routes: routes}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", n.route(r.In.Host)
			// The dispatcher tells channels apart by the name that was called.
			r.Out.Host = r.In.Host
		},
		// A server that is gone is part of many tests, and no news for their output.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	n.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.route(r.Host) == "" {
				http.Error(w, "no Service is named "+r.Host, http.StatusBadGateway)
				return
			}
			proxy.ServeHTTP(w, r)
		}),
	}
	go func() { n.served <- n.server.Serve(listener) }()
	return n, nil
}

func (n *names) close() error {
	err := n.server.Close()
	if served := <-n.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// set makes a route, or ends it when the address is empty.
func (n *names) set(host, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if address == "" {
		delete(n.routes, host)
		return
	}
	n.routes[host] = address
}

// route returns the address behind a host, with or without a port, or nothing.
func (n *names) route(host string) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if address, ok := n.routes[host]; ok {
		return address
	}
	for pattern, address := range n.routes {
		if end, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasSuffix(host, end) {
			return address
		}
	}
	return ""
}
