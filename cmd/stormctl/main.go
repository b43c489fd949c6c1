// Command stormctl is for people who run Stormfold or read its incidents. Installed as kubectl-stormfold it is a
// kubectl plugin, and as kubectl_complete-stormfold the completion of the plugin:
//
//	stormctl tree [NAME...]     incidents as trees
//	stormctl explain NAME       why an incident is part of an outage, or the policy and group of an alert
//	stormctl check FILE...      policies files
//	stormctl replay FILE...     recorded notifications under some policies
//	stormctl record FILE        Alertmanager's webhooks to a file
//	stormctl redeliver FILE     dead letters, sent again
//	stormctl version
//
// Only redeliver changes anything: it sends events again. The exit code is 0 on success, 1 on an error, and 2 if the
// command line is invalid. An error is one sentence on the standard error.
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
	if out := int(os.Stdout.Fd()); term.IsTerminal(out) {
		s.lines = func() int {
			_, lines, _ := term.GetSize(out) // Without a size nothing is cut.
			return lines
		}
	}
	code := run(ctx, filepath.Base(os.Args[0]), os.Args[1:], s)
	stop()
	os.Exit(code)
}

// streams are the input and output of a command, and their properties.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// inTerminal and errTerminal: a person sits at the standard input, or sees the standard error.
	inTerminal, errTerminal bool
	// color: the output is in colour.
	color bool
	// lines is the height of the terminal at the standard output; nil if there is none.
	lines func() int
	now   func() time.Time
}

// usage is the error of an invalid command line.
type usage struct{ error }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// run runs the program of that name and returns its exit code.
func run(ctx context.Context, program string, args []string, s streams) int {
	root := newRoot(program, s)
	root.SetArgs(asCompleter(program, args))
	root.SetOut(s.out)
	root.SetErr(s.err)
	c, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errTold):
		return exitError
	}
	fmt.Fprintf(s.err, "%s: %s\n", root.DisplayName(), strings.Join(strings.Fields(err.Error()), " "))
	if errors.As(err, &usage{}) {
		fmt.Fprintf(s.err, "See '%s --help'.\n", c.CommandPath())
		return exitUsage
	}
	return exitError
}

// newRoot is the command line. In the help of the kubectl plugin the program is called kubectl stormfold.
func newRoot(program string, s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "stormctl",
		Short: "Show Stormfold's incidents, explain alerts, and try policies",
		Long: `Show Stormfold's incidents, explain alerts, and try policies. Only redeliver changes anything: it sends
events again.

Exit codes: 0 success, 1 an error, 2 an invalid command line.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			known := "the commands are " + strings.Join(names(c), ", ")
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				known = "did you mean " + near[0] + "?"
			}
			return usagef("there is no command %q, %s", args[0], known)
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	if strings.HasPrefix(program, "kubectl-") || strings.HasPrefix(program, "kubectl_") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl stormfold"}
		root.CompletionOptions.HiddenDefaultCmd = true // kubectl has its own completion.
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	root.AddCommand(newTree(s), newExplain(s), newCheck(s), newReplay(s), newRecord(s), newRedeliver(s), newVersion(s))
	return root
}

// names are those of the commands.
func names(root *cobra.Command) []string {
	var out []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && c.Name() != "completion" {
			out = append(out, c.Name())
		}
	}
	return out
}
