package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/internal/version"
)

func newVersion(s streams) *cobra.Command {
	o := newOutput(formatJSON, formatYAML)
	c := &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this program",
		Args:              noArguments,
		ValidArgsFunction: words(),
		RunE: func(c *cobra.Command, _ []string) error {
			return s.print(o.format, version.Get(), func(w io.Writer) { fmt.Fprintln(w, c.Root().DisplayName(), version.Get()) })
		},
	}
	o.add(c)
	return c
}

// noArguments refuses arguments.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, and got %q", c.Name(), args[0])
	}
	return nil
}
