// Command dev runs Stormfold without a cluster, for a first look and for development:
//
//	dev run      runs the function, with an embedded Redis and Kubernetes API unless real ones are configured
//	dev storm    sends it fifteen alerts at once, or, if they fire, their resolutions
//	dev outage   sends it the alerts of a node that goes down, or, if they fire, their resolutions
//
// STORMFOLD_REDIS_URL is the URL of a real Redis, DEV_KUBECONFIG the kubeconfig file of a real API server.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends it at once.
	commands := map[string]func(context.Context) error{"run": run, "storm": storm, "outage": outage}
	if len(os.Args) == 2 && commands[os.Args[1]] != nil {
		if err := commands[os.Args[1]](ctx); err != nil {
			fmt.Fprintln(os.Stderr, "dev:", strings.ReplaceAll(err.Error(), "\n", "\ndev: "))
			os.Exit(1)
		}
		return
	}
	fmt.Fprintln(os.Stderr, "usage: dev run | dev storm | dev outage")
	os.Exit(2)
}
