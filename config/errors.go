package config

import (
	"fmt"
	"strconv"
	"strings"

	"knative.dev/pkg/apis"
)

// maxShown is the maximum length of a wrong value in an error, in characters.
const maxShown = 64

// maxTold is the maximum number of wrong values that an error names; it only counts further ones.
const maxTold = 5

// invalid is the error of wrong input, as one sentence. errors.As finds the apis.FieldError with the paths.
type invalid struct {
	fields   *apis.FieldError
	problems []Problem
}

// invalidOrNil is nil if there are no errors.
func invalidOrNil(fields *apis.FieldError) error { return invalidIn(nil, fields) }

// invalidIn names the lines of the file too.
func invalidIn(content []byte, fields *apis.FieldError) error {
	if len(fields.WrappedErrors()) == 0 {
		return nil
	}
	return &invalid{fields, problemsOf(fields, outlineOf(content))}
}

// Error names up to maxTold wrong fields, with their values and what is allowed.
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

// Unwrap returns the errors with their paths.
func (e *invalid) Unwrap() error {
	if e.fields == nil {
		return nil
	}
	return e.fields
}

// wrong is an error about the caller's field.
func wrong(format string, args ...any) *apis.FieldError {
	return apis.ErrGeneric(fmt.Sprintf(format, args...), apis.CurrentField)
}

// shown is a value for an error: quoted, on one line, and cut.
func shown(value string) string {
	if runes := []rune(value); len(runes) > maxShown {
		return strconv.Quote(string(runes[:maxShown])) + "..."
	}
	return strconv.Quote(value)
}

// didYouMean ends an error about an unknown name: with the nearest known one if it is at most limit edits away, and
// otherwise with the caller's text.
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

// distance is the Levenshtein distance of a and b, or limit+1 if their lengths already differ by more than limit.
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
