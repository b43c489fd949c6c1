package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/term"
	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/function"
)

// callTimeout is the timeout of a call to the Kubernetes API.
const callTimeout = 5 * time.Second

// run serves the function until it is interrupted.
func run(ctx context.Context) error {
	began := time.Now()
	s, err := readSettings()
	if err != nil {
		return err
	}
	if err := s.export(); err != nil {
		return err
	}
	for variable, address := range s.servers() {
		if err := free(variable, address); err != nil {
			return err
		}
	}
	cloudevents.SetLogLevel(cloudevents.LogDisabled) // Its error is returned.
	f := function.New()
	color := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
	t := newTable(os.Stdout, color)
	redisName, kubeName := "embedded", "embedded"
	if s.redisURL != "" {
		redisName = redisVariable
	} else {
		embedded, err := miniredis.Run()
		if err != nil {
			return fmt.Errorf("starting the embedded Redis: %w", err)
		}
		defer embedded.Close()
		f.Parts.Redis = redis.NewClient(&redis.Options{Addr: embedded.Addr()})
	}
	servers := []*http.Server{{Addr: s.webhook, Handler: webhookHandler(f), ReadHeaderTimeout: callTimeout}}
	if s.kubeconfig != "" {
		kubeName = kubeconfigVariable + " " + s.kubeconfig
		incidents, err := s.incidents()
		if err != nil {
			return err
		}
		go t.follow(ctx, incidents, s.namespace)
	} else {
		api := newAPI(t.changed)
		f.Parts.Incidents = api.memory
		servers = append(servers, &http.Server{Addr: s.api, Handler: api, ReadHeaderTimeout: callTimeout})
	}
	ended := make(chan error, len(servers)+1)
	for _, server := range servers {
		defer server.Close() //nolint:errcheck // The process ends.
		go func() { ended <- server.ListenAndServe() }()
	}
	go func() { ended <- cloudevents.New(f).Start(ctx) }()
	if err := awaitReady(ctx, f, ended); err != nil || ctx.Err() != nil {
		return err
	}
	t.say(
		"Stormfold is ready after %.1f s (Redis: %s, Kubernetes: %s).\n",
		time.Since(began).Seconds(),
		redisName,
		kubeName,
	)
	t.say("%s", s.welcome())
	t.head()
	select {
	case <-ctx.Done():
		t.say("\nstopping")
		return nil
	case err := <-ended:
		return err
	}
}

// servers are the addresses that must be free, by their variables.
func (s settings) servers() map[string]string {
	out := map[string]string{listenVariable: s.listen, webhookVariable: s.webhook}
	if s.kubeconfig == "" {
		out[apiVariable] = s.api
	}
	return out
}

// export sets the environment variables that the function reads.
func (s settings) export() error {
	level := os.Getenv("STORMFOLD_LOG_LEVEL")
	if level == "" {
		level = "warn"
	}
	var errs []error
	for variable, value := range map[string]string{
		listenVariable: s.listen, metricsVariable: s.metrics, namespaceVariable: s.namespace, "STORMFOLD_LOG_LEVEL": level,
		"KUBECONFIG": s.kubeconfig,
	} {
		errs = append(errs, os.Setenv(variable, value))
	}
	return errors.Join(errs...)
}

// awaitReady returns when the function accepts events or the context ends, or with the error that stopped it.
func awaitReady(ctx context.Context, f *function.Function, ended <-chan error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the function did not start: %w", err)
		case <-tick.C:
			if ready, _ := f.Ready(ctx); ready {
				return nil
			}
		}
	}
}
