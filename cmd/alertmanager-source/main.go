// Command alertmanager-source takes Alertmanager's webhook and sends its alerts as CloudEvents to a sink of Knative. It is
// configured by environment variables; see docs/source.md.
//
//	alertmanager-source            # serve on STORMFOLD_SOURCE_ADDRESS, by default :8080, until SIGTERM
//	alertmanager-source -version   # print the version and end
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/stormfold/stormfold/internal/source"
)

func main() {
	show := flag.Bool("version", false, "print the version and end")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "alertmanager-source", source.Version(), runtime.Version())
	if *show {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.
	if err := source.Run(ctx, source.Environ(os.Environ())); err != nil {
		fmt.Fprintln(os.Stderr, "alertmanager-source:", err)
		os.Exit(1)
	}
}
