// Command stormfold serves the function, for images that are built without the func CLI. It is configured by environment
// variables and a file named cfg, like every function of func-go; see docs/configuration.md.
//
//	stormfold            # serve on LISTEN_ADDRESS, by default [::]:8080
//	stormfold -version   # print the version and end
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"knative.dev/func-go/cloudevents"

	"github.com/stormfold/stormfold/function"
	"github.com/stormfold/stormfold/internal/service"
)

// gcPercent is how much garbage the heap may hold beside what lives, when GOGC does not say: under the load of make bench that keeps
// the function below 100 MiB, where Go's own 100 takes 146, and costs a thirtieth of the rate.
const gcPercent = 60

func main() {
	show := flag.Bool("version", false, "print the version and end")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "stormfold", version())
	if *show {
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	cloudevents.SetLogLevel(cloudevents.LogInfo)
	if err := service.New(function.New()).Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "stormfold:", err)
		os.Exit(1)
	}
}

// version is what the go command stamped on the build: the module's version, or the commit, and the Go version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of unknown version"
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	version, commit, changed := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = " " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " (changed)"
		}
	}
	if version == "" {
		version = "(devel)"
	}
	return version + commit + changed + " " + info.GoVersion
}
