// Command stormctl is for those who run Stormfold and those who read its incidents. Installed as kubectl-stormfold it is a
// plugin of kubectl:
//
//	stormctl record FILE        Alertmanager's webhooks to a file
//	stormctl replay FILE...     what recorded notifications would have become under some policies
//	stormctl explain LABEL...   where an alert belongs, and how its group stands
//	stormctl tree [NAME...]     an incident as a picture
//	stormctl redeliver FILE     dead letters, sent again
//
// All but redeliver, which sends events as their sender did, change nothing, neither in Redis nor in Kubernetes. The exit code
// is 0 when all went well, 1 when something failed, and 2 when the command line is wrong; what is wrong is one sentence on the
// standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now}
	s.inTerminal = term.IsTerminal(int(os.Stdin.Fd()))
	s.errTerminal = term.IsTerminal(int(os.Stderr.Fd()))
	s.color = term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	code := run(ctx, filepath.Base(os.Args[0]), os.Args[1:], s)
	stop()
	os.Exit(code)
}

// streams are where a command reads and writes, and what it may take for granted there.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// inTerminal and errTerminal: a person sits at the standard input, or sees the standard error.
	inTerminal, errTerminal bool
	// color: colours are seen and wanted.
	color bool
	now   func() time.Time
}

// usage is a command line that is wrong.
type usage struct{ error }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// run runs the program of that name and returns its exit code.
func run(ctx context.Context, program string, args []string, s streams) int {
	root := newRoot(program, s)
	root.SetArgs(args)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	name := root.DisplayName()
	fmt.Fprintf(s.err, "%s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
	if errors.As(err, &usage{}) {
		fmt.Fprintf(s.err, "Run '%s --help' for what there is.\n", name)
		return exitUsage
	}
	return exitError
}

// newRoot is the command line. Run by kubectl, the program names itself as one calls it then.
func newRoot(program string, s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "stormctl",
		Short: "Look at alerts, storms and incidents of Stormfold",
		Long: `Look at alerts, storms and incidents of Stormfold. Nothing is changed, neither in Redis nor in Kubernetes, but by redeliver,
which sends events again.

Exit codes: 0 all went well, 1 something failed, 2 the command line is wrong.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q, only record, replay, explain, tree and redeliver", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	if strings.HasPrefix(program, "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl stormfold"}
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRecord(s), newReplay(s), newExplain(s), newTree(s), newRedeliver(s))
	return root
}
