// Command stormfold serves the function, for images that are built without the func CLI. It is configured by environment
// variables and a file named cfg, like every function of func-go; see docs/configuration.md.
//
//	stormfold           # serve on LISTEN_ADDRESS, by default [::]:8080
//	stormfold version   # print the version
//	stormfold help
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/function"
	"github.com/stormfold/stormfold/internal/service"
	"github.com/stormfold/stormfold/internal/version"
)

// gcPercent is how much garbage the heap may hold beside what lives, when GOGC does not say: under the load of make bench that keeps
// the function below 100 MiB, where Go's own 100 takes 146, and costs a thirtieth of the rate.
const gcPercent = 60

const usage = `usage: stormfold            serve CloudEvents on LISTEN_ADDRESS, by default [::]:8080
       stormfold version    print the version

Environment variables configure it, see docs/configuration.md.
`

func main() {
	if code, done := version.Arguments("stormfold", usage, os.Args[1:], os.Stdout, os.Stderr); done {
		os.Exit(code)
	}
	fmt.Fprintln(os.Stderr, "stormfold", version.Get())
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	cloudevents.SetLogLevel(cloudevents.LogInfo)
	if err := service.New(function.New()).Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "stormfold:", err)
		os.Exit(1)
	}
}
