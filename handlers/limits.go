package handlers

import (
	"bytes"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// What one event may hold. A well-behaved Alertmanager stays far below each of these.
const (
	// MaxBody is the size of an event's data in bytes.
	MaxBody = 4 << 20
	// MaxAlerts is how many alerts one event has.
	MaxAlerts = 10000
	// MaxLabels is how many labels, other than empty ones, an alert has.
	MaxLabels = 128
	// MaxLabelName is the length of a label's name in bytes.
	MaxLabelName = 256
	// MaxLabelValue is the length of a label's value in bytes.
	MaxLabelValue = 4 << 10
	// MaxAnnotations is how many annotations of an alert are kept; those that an incident shows stay first.
	MaxAnnotations = 64
	// MaxAnnotation is the length in bytes to which an annotation's value is cut.
	MaxAnnotation = 4 << 10
	// MaxGeneratorURL is the length in bytes to which a generator URL is cut.
	MaxGeneratorURL = 2 << 10
	// MaxDepth is how deep objects and lists may stand in each other, so that no JSON can exhaust the stack.
	MaxDepth = 64
)

// shown are the annotations that are kept when there are too many.
var shown = []string{"summary", "description", "message", "runbook_url", "runbook"}

// checkData refuses what is not worth parsing. encoding/json would put U+FFFD for invalid UTF-8, and two label sets
// would become one: so that is looked for here.
func checkData(data []byte) *Invalid {
	switch {
	case len(data) == 0:
		return &Invalid{Field: "data", Problem: "it is empty"}
	case len(data) > MaxBody:
		return tooLarge("data", len(data), MaxBody, "bytes")
	case !utf8.Valid(data):
		return &Invalid{Field: "data", Problem: "it is not valid UTF-8"}
	case tooDeep(data):
		return tooLarge("data", MaxDepth+1, MaxDepth, "levels of nesting or more")
	}
	return nil
}

// tooDeep looks for more than MaxDepth open brackets, outside of strings.
func tooDeep(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i+1)
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// endOfString is where the string ends that begins at i: at its closing quote, or the end of the data.
func endOfString(data []byte, i int) int {
	for {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return len(data)
		}
		escapes := 0
		for at := i + n - 1; at >= i && data[at] == '\\'; at-- {
			escapes++
		}
		if i += n; escapes%2 == 0 {
			return i
		}
		i++
	}
}

// checkLabels drops labels without a value, as Prometheus does: an empty value equals an absent label. Of several
// problems it tells the one of the first label in alphabetical order.
func checkLabels(labels map[string]string) *Invalid {
	var bad string
	var invalid *Invalid
	for name, value := range labels {
		if value == "" {
			delete(labels, name)
			continue
		}
		if in := checkLabel(name, value); in != nil && (invalid == nil || name < bad) {
			bad, invalid = name, in
		}
	}
	switch {
	case invalid != nil:
		return invalid
	case len(labels) == 0:
		return &Invalid{Field: "labels", Problem: "there are none"}
	case len(labels) > MaxLabels:
		return tooLarge("labels", len(labels), MaxLabels, "labels")
	}
	return nil
}

func checkLabel(name, value string) *Invalid {
	if name != "" && len(name) <= MaxLabelName && len(value) <= MaxLabelValue && !hasControl(name) {
		return nil
	}
	field := "labels[" + quote(name) + "]"
	switch {
	case name == "":
		return &Invalid{Field: field, Problem: "a label needs a name"}
	case len(name) > MaxLabelName:
		return tooLarge(field, len(name), MaxLabelName, "bytes of name")
	case hasControl(name):
		return &Invalid{Field: field, Problem: "the name has a control character"}
	case len(value) > MaxLabelValue:
		return tooLarge(field, len(value), MaxLabelValue, "bytes")
	}
	return nil
}

func hasControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

// trimAnnotations cuts long values and leaves out what is too much. Annotations are text for people: no alert is refused
// because of them.
func trimAnnotations(annotations map[string]string) map[string]string {
	for name, value := range annotations {
		switch {
		case value == "" || len(name) > MaxLabelName:
			delete(annotations, name)
		case len(value) > MaxAnnotation:
			annotations[name] = cut(value, MaxAnnotation)
		}
	}
	if len(annotations) <= MaxAnnotations {
		return annotations
	}
	names := make([]string, 0, len(annotations))
	for name := range annotations {
		if !slices.Contains(shown, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names[len(names)-(len(annotations)-MaxAnnotations):] {
		delete(annotations, name)
	}
	return annotations
}

// cut cuts a text to at most max bytes, between two runes. An event's attributes need not be valid UTF-8 and may have no
// place between two runes at all: nothing is left of such a text.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// maxQuoted is how much of a value an error repeats, in bytes.
const maxQuoted = 64

// quote is a sender's value for an error's sentence: short, and without control characters.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = cut(s, maxQuoted) + "…"
	}
	return fmt.Sprintf("%q", s)
}
