package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/internal/human"
)

// addOutput adds the flag -o, which is empty for people and json for scripts.
func addOutput(c *cobra.Command, to *string) {
	c.Flags().StringVarP(to, "output", "o", "", "json for scripts; a text for people otherwise")
}

// print writes what a command found, all of it or nothing: as JSON, or as the text that draw writes.
func (s streams) print(output string, value any, draw func(io.Writer)) error {
	var b bytes.Buffer
	if output == "json" {
		encoder := json.NewEncoder(&b)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return err
		}
	} else {
		draw(&b)
	}
	_, err := s.out.Write(b.Bytes())
	return err
}

// checkOutput refuses what -o does not know.
func checkOutput(output string) error {
	if output != "" && output != "json" {
		return usagef("-o %s is not known: it is json, or left out", output)
	}
	return nil
}

// table writes rows in columns, the first of them the head. Columns whose head begins with ">" stand to the right.
func table(w io.Writer, rows [][]string) {
	right := map[int]bool{}
	for i, cell := range rows[0] {
		rows[0][i], right[i] = strings.CutPrefix(cell, ">")
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if right[i] {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(cell)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// fields writes names and values, the values side by side.
func fields(w io.Writer, pairs ...string) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(columns, "%s\t%s\n", pairs[i], pairs[i+1])
	}
	_ = columns.Flush() // To a buffer.
}

// What people read, by short names.
var (
	clock  = human.Time
	length = human.Duration
	count  = human.Count
	times  = human.Times
	pairs  = human.Labels
	before = human.Before
)
