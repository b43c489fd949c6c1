// Command alertmanager-source takes Alertmanager's webhook and sends its alerts as CloudEvents to a sink of Knative. It is
// configured by environment variables; see docs/source.md.
//
//	alertmanager-source           # serve on STORMFOLD_SOURCE_ADDRESS, by default :8080, until SIGTERM
//	alertmanager-source version   # print the version
//	alertmanager-source help
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/stormfold/stormfold/internal/source"
	"github.com/stormfold/stormfold/internal/version"
)

const usage = `usage: alertmanager-source            serve on STORMFOLD_SOURCE_ADDRESS, by default :8080
       alertmanager-source version    print the version

Environment variables configure it, see docs/source.md.
`

func main() {
	if code, done := version.Arguments("alertmanager-source", usage, os.Args[1:], os.Stdout, os.Stderr); done {
		os.Exit(code)
	}
	fmt.Fprintln(os.Stderr, "alertmanager-source", version.Get())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.
	if err := source.Run(ctx, source.Environ(os.Environ())); err != nil {
		fmt.Fprintln(os.Stderr, "alertmanager-source:", err)
		os.Exit(1)
	}
}
