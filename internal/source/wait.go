package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"knative.dev/pkg/logging"
)

// notSet answers whatever needs the sink. Alertmanager repeats what was answered 503.
const notSet = "K_SINK is not set: a SinkBinding sets it in another pod as soon as its sink is ready"

// wait serves nothing but GET /livez until the context is done. A SinkBinding whose sink was not ready when the pod was
// made replaces the pod later; until then this one neither fails nor takes notifications.
func wait(ctx context.Context, environ map[string]string) error {
	// Every other setting is checked as always.
	environ = maps.Clone(environ)
	if environ == nil {
		environ = map[string]string{}
	}
	environ[sinkKey] = "http://not-set.invalid"
	settings, err := Parse(environ)
	if err != nil {
		return err
	}
	logger, _ := logging.NewLogger("", settings.LogLevel)
	log := logger.Named("stormfold-source")
	config, err := serverTLS(settings, log)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", healthy)
	mux.HandleFunc(
		"/",
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, notSet, http.StatusServiceUnavailable) },
	)
	s, err := serve(
		addressKey,
		settings.Address,
		&http.Server{Handler: mux, TLSConfig: config, ReadHeaderTimeout: 5 * time.Second},
	)
	if err != nil {
		return err
	}
	log.Warnw(notSet, "address", s.listener.Addr().String())
	select {
	case err = <-s.ended:
		err = fmt.Errorf("the server ended: %w", err)
	case <-ctx.Done():
		log.Infow("stopping")
	}
	return errors.Join(err, s.server.Close())
}
