package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// markdown is the table as it is printed and as docs/performance.md holds it.
func markdown(outcomes []outcome) string {
	var b strings.Builder
	b.WriteString("| row | measured | against | ratio | target | met |\n|---|---|---|---|---|---|\n")
	for _, o := range outcomes {
		against, figure := o.Against, "–"
		switch {
		case o.Compare == ratio:
			against += ": " + value(o.reference(), o.Unit)
			figure = number(o.figure())
		case o.Compare == difference:
			against += ": " + value(o.reference(), o.Unit)
			figure = signed(value(o.figure(), o.Unit))
		case against == "":
			against = "–"
		}
		met := "no"
		if o.met() {
			met = "yes"
		}
		fmt.Fprintf(
			&b,
			"| %s | %s | %s | %s | %s | %s |\n",
			o.Name,
			value(o.measured(), o.Unit),
			against,
			figure,
			o.target(),
			met,
		)
	}
	for _, o := range outcomes {
		if o.Note != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", o.Name, o.Note)
		}
	}
	return b.String()
}

// target is the target as text: at least, at most, or at most so much more.
func (o outcome) target() string {
	sign := "≤ "
	if o.AtLeast {
		sign = "≥ "
	}
	switch o.Compare {
	case difference:
		return sign + signed(value(o.Target, o.Unit))
	case absolute:
		return sign + value(o.Target, o.Unit)
	default:
		return sign + strconv.FormatFloat(o.Target, 'g', -1, 64)
	}
}

// number has three digits that matter, and all digits before the point.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "?"
	case math.Abs(v) >= 100:
		return thousands(int64(math.Round(v)))
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

func value(v float64, unit string) string {
	switch unit {
	case "":
		return number(v)
	case "/s":
		return number(v) + "/s"
	default:
		return number(v) + " " + unit
	}
}

func signed(s string) string {
	if strings.HasPrefix(s, "-") || s == "?" {
		return s
	}
	return "+ " + s
}

// thousands puts a comma between each three digits.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// report is the content of the JSON file.
type report struct {
	Machine machine      `json:"machine"`
	Rows    []reportRow  `json:"rows"`
	Costs   []costRecord `json:"costs,omitempty"`
}

// machine is what the numbers depend on.
type machine struct {
	Cores int    `json:"cores"`
	Go    string `json:"go"`
	Redis string `json:"redis"`
}

type reportRow struct {
	ID        string   `json:"id"`
	Row       string   `json:"row"`
	Unit      string   `json:"unit,omitempty"`
	Measured  float64  `json:"measured"`
	Against   string   `json:"against,omitempty"`
	Reference float64  `json:"reference,omitempty"`
	Figure    float64  `json:"figure"`
	Target    string   `json:"target"`
	Met       bool     `json:"met"`
	Rounds    []sample `json:"rounds"`
	Note      string   `json:"note,omitempty"`
}

// encode makes the JSON file. A row of which nothing was measured is an error, since JSON has no such number.
func encode(m machine, outcomes []outcome, costs []costRecord) ([]byte, error) {
	r := report{Machine: m, Costs: costs}
	for _, o := range outcomes {
		r.Rows = append(r.Rows, reportRow{
			ID: o.ID, Row: o.Name, Unit: o.Unit, Measured: o.measured(), Against: o.Against, Reference: o.reference(),
			Figure: o.figure(), Target: o.target(), Met: o.met(), Rounds: o.Rounds, Note: o.Note,
		})
	}
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the results: %w", err)
	}
	return append(out, '\n'), nil
}

// The lines between which docs/performance.md holds the table.
const (
	tableBegins = "<!-- make bench: begin -->\n"
	tableEnds   = "<!-- make bench: end -->\n"
)

// insert puts the table into a document, between its markers.
func insert(document, table string) (string, error) {
	before, rest, found := strings.Cut(document, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !found || !ends {
		return "", fmt.Errorf(
			"the document has no lines %q and %q",
			strings.TrimSpace(tableBegins),
			strings.TrimSpace(tableEnds),
		)
	}
	return before + tableBegins + table + tableEnds + after, nil
}
