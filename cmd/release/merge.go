package main

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/resid"
)

// variant is a text for the case that a condition holds.
type variant struct{ when, text string }

// edit replaces the lines [from, to) of the plain text when a condition holds.
type edit struct {
	from, to int
	lines    []string
	when     string
}

// merge is a template that renders a plain text, and the differences of each variant when its condition holds. Two
// variants that replace the same lines cannot both hold, and are an error.
func merge(plain string, variants []variant) (string, error) {
	a := strings.SplitAfter(plain, "\n")
	var edits []edit
	for _, v := range variants {
		for _, e := range differences(a, strings.SplitAfter(v.text, "\n")) {
			e.when = v.when
			edits = append(edits, e)
		}
	}
	// At one place, what is inserted comes before what is replaced.
	slices.SortStableFunc(edits, func(x, y edit) int {
		if x.from != y.from {
			return x.from - y.from
		}
		return (x.to - x.from) - (y.to - y.from)
	})
	var out strings.Builder
	at := 0
	write := func(lines []string) {
		for _, line := range lines {
			out.WriteString(line)
		}
	}
	for _, e := range edits {
		if e.from < at {
			return "", fmt.Errorf("when %s, it replaces %q, as another value does", e.when,
				strings.TrimSpace(a[e.from]))
		}
		write(a[at:e.from])
		fmt.Fprintf(&out, "{{- if %s }}\n", e.when)
		write(e.lines)
		if e.to > e.from {
			if len(e.lines) == 0 {
				return "", fmt.Errorf("when %s, it removes %q", e.when, strings.TrimSpace(a[e.from]))
			}
			out.WriteString("{{- else }}\n")
			write(a[e.from:e.to])
		}
		out.WriteString("{{- end }}\n")
		at = e.to
	}
	write(a[at:])
	return out.String(), nil
}

// differences are the edits that make b of a, by their longest common subsequence of lines.
func differences(a, b []string) []edit {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	for i, j := 0, 0; i < len(a) || j < len(b); {
		from, start := i, j
		for i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
		}
		if i > from {
			continue
		}
		for (i < len(a) || j < len(b)) && (i == len(a) || j == len(b) || a[i] != b[j]) {
			if j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1] {
				i++
			} else {
				j++
			}
		}
		out = append(out, edit{from: from, to: i, lines: b[start:j]})
	}
	return out
}

func resID(kind, name string) resid.ResId { return resid.ResId{Gvk: resid.Gvk{Kind: kind}, Name: name} }
