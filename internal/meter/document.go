package meter

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown is the table of metrics for the documentation, sorted by name, and below it the values of their labels.
func Markdown(definitions []Definition) string {
	sorted := slices.Clone(definitions)
	slices.SortFunc(sorted, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	rows, values := "| metric | type | labels | meaning |\n|---|---|---|---|\n", ""
	for _, d := range sorted {
		var labels []string
		for _, l := range d.Labels {
			labels = append(labels, "`"+l.Name+"`")
			if len(l.Values) > 0 {
				values += fmt.Sprintf("- `%s` of `%s`: %s\n", l.Name, d.Name, strings.Join(l.Values, ", "))
			}
		}
		rows += fmt.Sprintf("| `%s` | %s | %s | %s |\n", d.Name, d.Type, strings.Join(labels, ", "), d.Help)
	}
	return rows + "\nValues of the labels:\n\n" + values
}

// Unit is the metric's unit, which its name ends with; empty for one that counts.
func (d Definition) Unit() string {
	name := strings.TrimSuffix(d.Name, "_total")
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

func isTotal(name string) bool { return strings.HasSuffix(name, "_total") }

// Check returns the problems of a set, one sentence for each: metrics that are exported and not defined, labels with
// values beyond their set, series that are missing, and names that Prometheus' conventions do not allow.
func (s *Set) Check() (wrong []string) {
	known := map[string]Definition{}
	for _, d := range s.definitions {
		known[d.Name] = d
		if isTotal(d.Name) != (d.Type == "counter") {
			wrong = append(wrong, d.Name+": _total is for counters")
		}
		if d.Type == "histogram" && d.Unit() != "seconds" {
			wrong = append(wrong, d.Name+": histograms are of seconds")
		}
		if !strings.HasSuffix(d.Help, ".") {
			wrong = append(wrong, d.Name+": its help is no sentence")
		}
	}
	families, err := s.registry.Gather()
	if err != nil {
		return append(wrong, err.Error())
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), s.prefix+"_") {
			continue // Of the Go runtime and the process.
		}
		d, defined := known[f.GetName()]
		if !defined {
			wrong = append(wrong, f.GetName()+": not defined")
			continue
		}
		delete(known, f.GetName())
		series := 1
		for _, l := range d.Labels {
			series *= max(1, len(l.Values))
		}
		if len(f.GetMetric()) != series {
			wrong = append(wrong, fmt.Sprintf("%s: %d series where %d are possible", d.Name, len(f.GetMetric()), series))
		}
		for _, m := range f.GetMetric() {
			for _, pair := range m.GetLabel() {
				if i := slices.IndexFunc(d.Labels, func(l Label) bool { return l.Name == pair.GetName() }); i < 0 ||
					len(d.Labels[i].Values) > 0 && !slices.Contains(d.Labels[i].Values, pair.GetValue()) {
					wrong = append(wrong, fmt.Sprintf("%s: %s=%q is not in its set", d.Name, pair.GetName(), pair.GetValue()))
				}
			}
		}
	}
	for name := range known {
		wrong = append(wrong, name+": not exported")
	}
	slices.Sort(wrong)
	return wrong
}
