package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/internal/human"
)

// The formats of -o. Without one the output is text.
const (
	formatJSON = "json"
	formatYAML = "yaml"
	formatName = "name"
	formatWide = "wide"
)

// output is the flag -o of a command.
type output struct {
	format string
	known  []string
}

func newOutput(known ...string) *output { return &output{known: known} }

func (o *output) add(c *cobra.Command) {
	c.Flags().VarP(o, "output", "o",
		"output format, one of "+strings.Join(o.known, ", ")+"; without it a text for people")
	suggest(c, "output", words(o.known...))
}

// String, Set and Type are those of a flag.
func (o *output) String() string { return o.format }

func (o *output) Set(format string) error {
	if !slices.Contains(o.known, format) {
		return fmt.Errorf("it is one of %s", strings.Join(o.known, ", "))
	}
	o.format = format
	return nil
}

func (o *output) Type() string { return "FORMAT" }

// print writes a result, all of it or nothing: as JSON or YAML, or as the text that draw writes.
func (s streams) print(format string, value any, draw func(io.Writer)) error {
	var b bytes.Buffer
	switch format {
	case formatJSON:
		encoder := json.NewEncoder(&b)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return err
		}
	case formatYAML:
		content, err := yaml.Marshal(value)
		if err != nil {
			return err
		}
		b.Write(content)
	default:
		draw(&b)
	}
	_, err := s.out.Write(b.Bytes())
	return err
}

// table writes rows in columns; the first row is the header. Columns whose header begins with ">" are right-aligned.
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

// counted is count for a word with a plural of its own.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
