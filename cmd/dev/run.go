package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"k8s.io/client-go/tools/clientcmd"
	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/function"
	"github.com/stormfold/stormfold/internal/projector"
)

// Where dev run listens, unless LISTEN_ADDRESS and DEV_WEBHOOK_ADDRESS say otherwise.
const (
	defaultListen  = "127.0.0.1:8080"
	defaultWebhook = "127.0.0.1:9095"
)

func listenAddress() string  { return cmp.Or(os.Getenv("LISTEN_ADDRESS"), defaultListen) }
func webhookAddress() string { return cmp.Or(os.Getenv(webhookVariable), defaultWebhook) }

// webhookVariable is the environment variable with the address for Alertmanager's plain webhook.
const webhookVariable = "DEV_WEBHOOK_ADDRESS"

// run serves the function until it is interrupted.
func run(ctx context.Context) error {
	began := time.Now()
	cloudevents.SetLogLevel(cloudevents.LogWarn)
	f := function.New()
	table := newTable(os.Stdout)
	redisName, kubeName := "embedded", "embedded"
	if url := os.Getenv("STORMFOLD_REDIS_URL"); url != "" {
		redisName = "STORMFOLD_REDIS_URL"
	} else {
		embedded, err := miniredis.Run()
		if err != nil {
			return fmt.Errorf("starting the embedded Redis: %w", err)
		}
		defer embedded.Close()
		f.Parts.Redis = redis.NewClient(&redis.Options{Addr: embedded.Addr()})
	}
	if path := os.Getenv("KUBECONFIG"); path != "" {
		kubeName = "KUBECONFIG " + path
	} else {
		f.Parts.Incidents = &projector.Memory{Changed: table.changed}
	}
	for key, value := range map[string]string{
		"LISTEN_ADDRESS": defaultListen, "STORMFOLD_LOG_LEVEL": "warn", "STORMFOLD_METRICS_ADDRESS": "127.0.0.1:9464",
		"STORMFOLD_NAMESPACE": "stormfold",
	} {
		if os.Getenv(key) == "" {
			if err := os.Setenv(key, value); err != nil {
				return err
			}
		}
	}
	for _, address := range []string{listenAddress(), webhookAddress()} {
		if err := free(address); err != nil {
			return err
		}
	}
	webhook := &http.Server{Addr: webhookAddress(), Handler: webhookHandler(f), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 2)
	go func() { ended <- webhook.ListenAndServe() }()
	go func() { ended <- cloudevents.New(f).Start(ctx) }()
	if err := awaitReady(ctx, f, ended); err != nil {
		return err
	}
	table.say("Stormfold is ready after %.1f s (Redis: %s, Kubernetes: %s).\n", time.Since(began).Seconds(), redisName, kubeName)
	table.say("  CloudEvents           http://%s", listenAddress())
	table.say("  Alertmanager webhook  http://%s   (a receiver's webhook_configs url)", webhookAddress())
	if metrics := os.Getenv("STORMFOLD_METRICS_ADDRESS"); metrics != "off" {
		table.say("  metrics               http://%s/metrics", metrics)
	}
	table.say("\nSend a storm from another terminal: make storm. Stop with Ctrl-C.\n")
	table.head()
	if kubeName != "embedded" {
		config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
		if err != nil {
			return fmt.Errorf("reading KUBECONFIG: %w", err)
		}
		incidents, err := projector.NewClient(config, 5*time.Second, 5, 10)
		if err != nil {
			return err
		}
		go table.follow(ctx, incidents, os.Getenv("STORMFOLD_NAMESPACE"))
	}
	select {
	case <-ctx.Done():
		table.say("\nstopping")
	case err := <-ended:
		if err != nil {
			return err
		}
	}
	return webhook.Close()
}

// free tells a taken port before anything starts.
func free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s is taken; set LISTEN_ADDRESS or %s to another address: %w", address, webhookVariable, err)
	}
	return listener.Close()
}

// awaitReady returns when the function takes events, or with what stopped it.
func awaitReady(ctx context.Context, f *function.Function, ended <-chan error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the function did not start: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if ready, _ := f.Ready(ctx); ready {
				return nil
			}
		}
	}
}
