package handlers

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Limits of events and alerts. A normal Alertmanager stays far below them.
const (
	// MaxBody is the size of an event's data in bytes.
	MaxBody = 4 << 20
	// MaxAlerts is the maximum number of alerts of an event; further ones are left out.
	MaxAlerts = 10000
	// MaxLabels is how many labels of an alert, other than empty ones, are kept; those that name objects stay first.
	MaxLabels = 128
	// MaxLabelName is the length of a label's name in bytes; a label with a longer one is left out.
	MaxLabelName = 256
	// MaxLabelValue is the length in bytes to which a label's value is cut.
	MaxLabelValue = 4 << 10
	// MaxAnnotations is how many annotations of an alert are kept; those that an incident shows stay first.
	MaxAnnotations = 64
	// MaxAnnotation is the length in bytes to which an annotation's value is cut.
	MaxAnnotation = 4 << 10
	// MaxLookup is the length of a look-up's value in bytes; a longer one is left out.
	MaxLookup = 253
	// MaxGeneratorURL is the length in bytes to which a generator URL is cut.
	MaxGeneratorURL = 2 << 10
	// MaxDepth is the maximum nesting of objects and lists, so that no JSON can exhaust the stack.
	MaxDepth = 64
)

// shown are the annotations that are kept when there are too many.
var shown = []string{"summary", "description", "message", "runbook_url", "runbook"}

// checkData refuses data that need not be parsed.
func checkData(data []byte) *Invalid {
	switch {
	case len(data) == 0:
		return &Invalid{Field: "data", Problem: "it is empty"}
	case len(data) > MaxBody:
		return tooLarge("data", len(data), MaxBody, "bytes")
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

// kept are the labels that stay when an alert has too many: those by which alerts are grouped and objects are named.
var kept = append([]string{
	"alertname", "severity", "cluster", "namespace", "job", "instance", "service", "container", "kind", "involved_kind",
	"involved_name",
}, slices.Collect(maps.Values(kubeLabels))...)

// dropEmpty drops labels without a value, as Prometheus does: an empty value equals an absent label.
func dropEmpty(labels map[string]string) {
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
}

// trimLabels cuts long values and leaves out labels whose names cannot be used, and those that are too many.
func trimLabels(labels map[string]string) map[string]string {
	for name, value := range labels {
		switch {
		case name == "" || len(name) > MaxLabelName || hasControl(name):
			delete(labels, name)
		case len(value) > MaxLabelValue:
			labels[name] = cut(value, MaxLabelValue)
		}
	}
	return atMost(labels, MaxLabels, kept)
}

func hasControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

// trimAnnotations cuts long values and leaves out what is too much. Annotations are text for people: no alert is
// refused because of them.
func trimAnnotations(annotations map[string]string) map[string]string {
	for name, value := range annotations {
		switch {
		case value == "" || len(name) > MaxLabelName:
			delete(annotations, name)
		case len(value) > MaxAnnotation:
			annotations[name] = cut(value, MaxAnnotation)
		}
	}
	return atMost(annotations, MaxAnnotations, shown)
}

// atMost leaves out the last names in alphabetical order of what is too much, but none of those that are preferred.
func atMost(texts map[string]string, most int, preferred []string) map[string]string {
	if len(texts) <= most {
		return texts
	}
	names := make([]string, 0, len(texts))
	for name := range texts {
		if !slices.Contains(preferred, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names[len(names)-(len(texts)-most):] {
		delete(texts, name)
	}
	return texts
}

// cut cuts a text to at most max bytes, between two runes. An event's attributes need not be valid UTF-8 and may have
// no place between two runes at all: nothing is left of such a text.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// maxQuoted is the maximum length of a value in an error, in bytes.
const maxQuoted = 64

// quote is a sender's value for an error's sentence: short, and without control characters.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = cut(s, maxQuoted) + "…"
	}
	return fmt.Sprintf("%q", s)
}
