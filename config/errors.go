package config

import (
	"fmt"
	"strconv"
	"strings"

	"knative.dev/pkg/apis"
)

// maxShown is how much of a wrong value an error repeats, in characters: enough to find it, too little to flood a log.
const maxShown = 64

// maxTold is how many wrong values one error names; of more it tells only the number.
const maxTold = 5

// invalid is wrong input as one sentence. errors.As finds the apis.FieldError with the paths inside.
type invalid struct {
	fields   *apis.FieldError
	problems []Problem
}

// invalidOrNil is nil when nothing is wrong.
func invalidOrNil(fields *apis.FieldError) error { return invalidIn(nil, fields) }

// invalidIn names the lines of the file too.
func invalidIn(content []byte, fields *apis.FieldError) error {
	if len(fields.WrappedErrors()) == 0 {
		return nil
	}
	return &invalid{fields, problemsOf(fields, outlineOf(content))}
}

// Error names each wrong field with its value and what would be right, at most maxTold of them.
func (e *invalid) Error() string {
	told := make([]string, len(e.problems))
	for i, p := range e.problems {
		told[i] = p.String()
	}
	if more := len(told) - maxTold; more > 0 {
		told = append(told[:maxTold], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(told, "; ")
}

// Unwrap gives the errors with their paths.
func (e *invalid) Unwrap() error {
	if e.fields == nil {
		return nil
	}
	return e.fields
}

// wrong is an error about the field that the caller is at.
func wrong(format string, args ...any) *apis.FieldError {
	return apis.ErrGeneric(fmt.Sprintf(format, args...), apis.CurrentField)
}

// shown is a value as errors repeat it: quoted, on one line, and cut.
func shown(value string) string {
	if runes := []rune(value); len(runes) > maxShown {
		return strconv.Quote(string(runes[:maxShown])) + "..."
	}
	return strconv.Quote(value)
}

// didYouMean ends an error about an unknown name: the nearest of the known ones if it is at most limit edits away, and
// otherwise what the caller says.
func didYouMean(name string, known []string, limit int, otherwise string) string {
	best, least := "", limit+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k), limit); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return otherwise
	}
	return "did you mean " + best + "?"
}

// distance is the number of single characters to insert, delete or replace to make b of a (Levenshtein's), or limit+1
// when the lengths alone say that it is more.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := diagonal
			if a[i-1] != b[j-1] {
				replace++
			}
			diagonal = row[j]
			row[j] = min(replace, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
