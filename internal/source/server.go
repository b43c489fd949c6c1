package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"knative.dev/pkg/logging"

	"github.com/stormfold/stormfold/internal/lookup/informers"
	"github.com/stormfold/stormfold/internal/tracing"
)

// Server is a source that serves.
type Server struct {
	settings         *Settings
	log              *zap.SugaredLogger
	webhook, metrics *served
	traces           *tracing.Tracing
	cluster          *informers.Cluster // Nil: alerts are not looked up.
}

// served is a listener and what serves it.
type served struct {
	server   *http.Server
	listener net.Listener
	ended    chan error
}

// Start serves the webhook, and the metrics when they have an address. Its error names the setting that is wrong.
func Start(settings *Settings) (*Server, error) {
	logger, _ := logging.NewLogger("", settings.LogLevel)
	// What is logged as an error is about others: where it was logged tells nothing.
	log := logger.Named("stormfold-source").WithOptions(zap.AddStacktrace(zap.DPanicLevel))
	handler, err := New(settings, log)
	if err != nil {
		return nil, err
	}
	config, err := serverTLS(settings, log)
	if err != nil {
		return nil, err
	}
	errorLog, err := zap.NewStdLogAt(log.Desugar(), zap.WarnLevel)
	if err != nil {
		return nil, err
	}
	cluster, err := startLookups(settings, log)
	if err != nil {
		return nil, err
	}
	if cluster != nil {
		handler.cluster = cluster
	}
	if handler.traces, err = startTraces(log); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", healthy)
	mux.HandleFunc("GET /healthz", healthy)
	mux.Handle("/", handler)
	s := &Server{settings: settings, log: log, traces: handler.traces, cluster: cluster}
	s.webhook, err = serve(addressKey, settings.Address, &http.Server{
		Handler: mux, TLSConfig: config, ErrorLog: errorLog,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: settings.RequestTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	})
	if err != nil {
		s.traces.Stop()
		return nil, err
	}
	if settings.MetricsAddress != "" {
		s.metrics, err = serve(metricsKey, settings.MetricsAddress, &http.Server{
			Handler: handler.metrics.set.Handler(), ErrorLog: errorLog, ReadHeaderTimeout: 5 * time.Second,
		})
		if err != nil {
			s.traces.Stop()
			return nil, errors.Join(err, s.webhook.server.Close())
		}
	}
	log.Infow(
		"ready",
		"address",
		s.Address(),
		"metrics",
		s.MetricsAddress(),
		"tls",
		config != nil,
		"token",
		settings.TokenFile != "",
	)
	return s, nil
}

func healthy(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

func serve(key, address string, server *http.Server) (*served, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", key, shown(address), err)
	}
	s := &served{server: server, listener: listener, ended: make(chan error, 1)}
	go func() {
		if server.TLSConfig != nil {
			s.ended <- server.ServeTLS(listener, "", "")
			return
		}
		s.ended <- server.Serve(listener)
	}()
	return s, nil
}

// Address is where the webhook is served, host:port.
func (s *Server) Address() string { return s.webhook.listener.Addr().String() }

// MetricsAddress is where the metrics are served, host:port; empty when they are not.
func (s *Server) MetricsAddress() string {
	if s.metrics == nil {
		return ""
	}
	return s.metrics.listener.Addr().String()
}

// Stop accepts no new connections and completes the requests in progress, within the timeout of one request.
// Alertmanager retries webhooks that cannot connect meanwhile.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.settings.RequestTimeout+time.Second)
	defer cancel()
	err := s.webhook.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(
			fmt.Errorf("stopping with notifications unanswered, which Alertmanager sends again: %w", err),
			s.webhook.server.Close(),
		)
	}
	if s.metrics != nil {
		err = errors.Join(err, s.metrics.server.Close())
	}
	s.traces.Stop()
	if s.cluster != nil {
		s.cluster.Stop()
	}
	_ = s.log.Sync() // Standard error cannot always be synced, and then there is nothing to do about it.
	return err
}

// Run serves with the settings of an environment until the context is done, and then stops. Without K_SINK it waits,
// alive and not ready, for whoever sets it in another pod.
func Run(ctx context.Context, environ map[string]string) error {
	if environ[sinkKey] == "" {
		return wait(ctx, environ)
	}
	settings, err := Parse(environ)
	if err != nil {
		return err
	}
	s, err := Start(settings)
	if err != nil {
		return err
	}
	select {
	case err = <-s.webhook.ended:
		err = fmt.Errorf("the webhook's server ended: %w", err)
	case <-ctx.Done():
		s.log.Infow("stopping")
	}
	return errors.Join(err, s.Stop())
}
