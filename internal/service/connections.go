package service

import (
	"net/http"
	"time"
)

// queueProxyIdle is how long Knative's queue-proxy keeps a connection to the function on which nothing happens.
const queueProxyIdle = 90 * time.Second

// keepConnections has a server close idle connections later than queue-proxy, also those on which nothing was sent yet.
// func-go closes the latter after 2 s and the others after 30 s; a request that is on its way then is answered with
// 502.
func keepConnections(s *http.Server) {
	idle := queueProxyIdle + 30*time.Second
	s.IdleTimeout, s.ReadHeaderTimeout = idle, idle
	// The time for a body counts from the beginning of a new connection.
	s.ReadTimeout += idle
}
