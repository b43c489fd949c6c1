package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/config"
)

// checkVersion is the version of check's JSON. Adding fields does not change it.
const checkVersion = "stormfold.io/check/v1"

// checked is the JSON of check.
type checked struct {
	APIVersion string        `json:"apiVersion"`
	Files      []checkedFile `json:"files"`
}

// checkedFile is a policies file, with its numbers or its problems.
type checkedFile struct {
	File     string         `json:"file"`
	Valid    bool           `json:"valid"`
	Policies []string       `json:"policies"`
	Outages  []string       `json:"outages"`
	Subjects int            `json:"subjects"`
	Problems []problemFacts `json:"problems"`
}

type problemFacts struct {
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

func newCheck(s streams) *cobra.Command {
	o := newOutput(formatJSON, formatYAML)
	c := &cobra.Command{
		Use:   "check FILE... | -",
		Short: "Check policies files",
		Long: `Check policies files as the function does when it loads them. Each problem is one line with file, line,
policy and field. A file that is valid is one line with the number of its policies, of its outage policies (without the
field outages they are the built-in ones), and of its rules about subjects.

Exit codes: 0 all files are valid, 1 a file is invalid or cannot be read, 2 an invalid command line.`,
		Example: `  kubectl stormfold check policies.yaml

  # The policies of a cluster
  kubectl -n stormfold get configmap stormfold-policies -o jsonpath='{.data.policies\.yaml}' | kubectl stormfold check -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("check needs a policies file, or - for the standard input")
			}
			return onceStandardInput(args)
		},
		RunE: func(_ *cobra.Command, args []string) error { return check(s, o, args) },
	}
	o.add(c)
	return c
}

func check(s streams, o *output, names []string) error {
	out := checked{APIVersion: checkVersion}
	valid := true
	for _, name := range names {
		file, err := checkFile(s, name)
		if err != nil {
			return err
		}
		valid = valid && file.Valid
		out.Files = append(out.Files, file)
	}
	if err := s.print(o.format, out, out.draw); err != nil || valid {
		return err
	}
	return errTold
}

func checkFile(s streams, name string) (checkedFile, error) {
	content, err := readInput(s, name)
	if err != nil {
		return checkedFile{}, err
	}
	if name == "-" {
		name = "standard input"
	}
	out := checkedFile{File: name, Policies: []string{}, Outages: []string{}, Problems: []problemFacts{}}
	policies, err := config.ParsePolicies(content)
	switch problems := config.Problems(err); {
	case err == nil:
		out.Valid, out.Subjects = true, len(policies.Subjects)
		for _, p := range policies.List {
			out.Policies = append(out.Policies, p.Name)
		}
		for _, o := range policies.Outages {
			out.Outages = append(out.Outages, o.Name)
		}
	case len(problems) > 0:
		for _, p := range problems {
			out.Problems = append(out.Problems, problemFacts(p))
		}
	default:
		out.Problems = append(out.Problems, problemFacts{Text: err.Error()})
	}
	return out, nil
}

// draw writes one line per problem, as compilers do, and one per valid file.
func (c checked) draw(w io.Writer) {
	for _, f := range c.Files {
		if f.Valid {
			fmt.Fprintf(w, "%s: valid, %s, %s and %s about subjects\n", f.File,
				counted(len(f.Policies), "policy", "policies"),
				counted(len(f.Outages), "outage policy", "outage policies"), count(f.Subjects, "rule"))
		}
		for _, p := range f.Problems {
			where := f.File
			if p.Line > 0 {
				where = fmt.Sprintf("%s:%d", f.File, p.Line)
			}
			fmt.Fprintf(w, "%s: %s\n", where, p.Text)
		}
	}
}

// errTold is an error that is already printed.
var errTold = errors.New("told")
