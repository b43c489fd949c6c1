package testbed

import (
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

// clusterDomain ends the names of the cluster's Services.
const clusterDomain = ".svc.cluster.local"

// names stands in for the cluster's DNS and Services: an HTTP proxy that knows where on loopback a Service's process
// listens.
type names struct {
	url    string
	server *http.Server
	served chan error
}

// serveNames starts the proxy. A route's key is a host name, or an asterisk with the end of one, which is for what no
// whole name is for.
func serveNames(routes map[string]string) (*names, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", route(routes, r.In.Host)
			// The dispatcher tells channels apart by the name that was called.
			r.Out.Host = r.In.Host
		},
	}
	n := &names{url: "http://" + loopback(port), served: make(chan error, 1)}
	n.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route(routes, r.Host) == "" {
			http.Error(w, "no Service is named "+r.Host, http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
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

// route returns the address behind a host, with or without a port, or nothing.
func route(routes map[string]string, host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if address, ok := routes[host]; ok {
		return address
	}
	for pattern, address := range routes {
		if end, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasSuffix(host, end) {
			return address
		}
	}
	return ""
}
