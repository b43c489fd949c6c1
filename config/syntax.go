package config

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// syntaxErrors are the messages of the YAML library, and what they mean. Some of its lines count from 0, some from 1.
var syntaxErrors = []struct {
	says, means string
	fromOne     bool
}{
	{"found unexpected end of stream", "unterminated quote", true},
	{"did not find expected ',' or ']'", "unterminated list, a ] or a comma is missing", false},
	{"did not find expected ',' or '}'", "unterminated map, a } or a comma is missing", false},
	{"did not find expected node content", "a value is missing, or a bracket is not closed", false},
	{"did not find expected key", "something else than a field: check indentation and quotes", false},
	{"did not find expected '-' indicator", "something else than a list item: check the indentation", false},
	{"found a tab character that violates indentation", "a tab as indentation, use spaces", false},
	{"found character that cannot start any token", "a value begins with a special character, quote it", true},
	{"mapping values are not allowed in this context", "a colon in an unquoted value, or wrong indentation", true},
	{"could not find expected ':'", "a field without a colon", true},
	{"found unknown escape character", `a backslash in double quotes, use single quotes or \\`, true},
}

var (
	atLine   = regexp.MustCompile(`line (\d+): `)
	repeated = regexp.MustCompile(`line (\d+): key "?([^"\s]+)"? already set in map`)
)

// notYAML explains why a file is not YAML. The cause is the error of the strict parser; the other parser knows better
// where a quote or a bracket was opened.
func notYAML(content []byte, cause error) error {
	if found := repeated.FindAllStringSubmatch(cause.Error(), maxTold); found != nil {
		out := &invalid{}
		for _, f := range found {
			out.problems = append(out.problems, Problem{number(f[1]), "the field " + shown(f[2]) + " is repeated"})
		}
		return out
	}
	if err := yaml.Unmarshal(content, &yaml.Node{}); err != nil {
		cause = err
	}
	text := strings.Join(strings.Fields(strings.TrimPrefix(cause.Error(), "yaml: ")), " ")
	problem := Problem{Text: text}
	if found := atLine.FindStringSubmatchIndex(text); found != nil {
		problem.Line, problem.Text = number(text[found[2]:found[3]]), text[:found[0]]+text[found[1]:]
	}
	for _, e := range syntaxErrors {
		if problem.Text == e.says {
			problem.Text = e.means
			if !e.fromOne {
				problem.Line++
			}
			// The library leaves out line 0, and counts the end of the file as a line.
			problem.Line = min(max(problem.Line, 1), max(len(bytes.Split(bytes.TrimSpace(content), []byte("\n"))), 1))
			break
		}
	}
	problem.Text = "invalid YAML: " + problem.Text
	return &invalid{problems: []Problem{problem}}
}

// number is that of digits which a regular expression found.
func number(digits string) int {
	n, _ := strconv.Atoi(digits) // Too many digits are not a line.
	return n
}
