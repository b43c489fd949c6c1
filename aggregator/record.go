package aggregator

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stormfold/stormfold/internal/subject"
)

// sep separates the parts of a record; the scripts know it as \31. It is taken out of every value.
const sep = "\x1f"

// Sizes of what Redis holds of one alert, in bytes. A Kubernetes name has at most 253.
const (
	maxSeverity   = 63
	maxName       = 253
	maxValue      = 1024
	maxFacts      = 16 << 10
	maxAnnotation = 4 << 10
)

// Label is a label with its value.
type Label struct{ Name, Value string }

// Member is an alert of a storm as its group knows it.
type Member struct {
	Fingerprint string
	Firing      bool
	// Quiet: it fired when it was last reported, and was not reported for the policy's quiet time.
	Quiet    bool
	StartsAt time.Time
	Severity string
	Resource subject.Resource
	// Breakdown are the policy's breakdown labels that the alert has, but for those that Severity and Resource tell.
	Breakdown []Label
	// Traits are its labels for outages, but for those that Severity and Resource tell.
	Traits []Label
}

// Facts are what an incident shows of the alert that opened it.
type Facts struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	StartsAt     int64             `json:"startsAt"` // Unix, in seconds
	// Resource, Workload and Node are what the alert's labels say, with the rules of its policies.
	Resource subject.Resource `json:"resource,omitzero"`
	Workload string           `json:"workload,omitempty"`
	Node     string           `json:"node,omitempty"`
	// Traits are the alert's labels for outages, as name=value.
	Traits []string `json:"traits,omitempty"`
}

// reading is what the labels said, or say, where that was not remembered.
func (f Facts) reading() subject.Reading {
	if f.Resource.Kind == "" {
		return subject.Rules(nil).Read(f.Labels)
	}
	return subject.Known(f.Resource, f.Workload, f.Node, f.Labels)
}

// Namespace is the one that the alert is about.
func (f Facts) Namespace() string {
	r := f.reading()
	return r.Namespace
}

// annotations are those that an incident shows.
var annotations = []string{"summary", "description", "message", "runbook_url", "runbook"}

// derived are the breakdown labels that Severity and Resource tell already.
var derived = []string{subject.LabelNamespace, "severity"}

// recordRest is the part of an alert's record that the scripts carry and do not read: severity, resource, and the
// breakdown labels as name=value.
func recordRest(alert Alert, breakdown []string) string {
	reading := alert.reading()
	r := clippedResource(reading.Subject)
	parts := []string{clip(alert.Labels["severity"], maxSeverity), r.Kind, r.Namespace, r.Name}
	for _, l := range breakdownOf(reading, breakdown) {
		parts = append(parts, clip(l.Name+"="+l.Value, maxName))
	}
	for _, t := range alert.traits {
		parts = append(parts, traitMark+t)
	}
	return strings.Join(parts, sep)
}

// breakdownOf are the breakdown labels of an alert, but for those that its severity and resource tell. The workload is
// among them when a label names another than the resource's name suggests.
func breakdownOf(r *subject.Reading, breakdown []string) []Label {
	var out []Label
	for _, name := range breakdown {
		switch value := r.Value(name); {
		case name == subject.LabelWorkload:
			if value != r.Subject.Workload() {
				out = append(out, Label{name, value})
			}
		case value != "" && !slices.Contains(derived, name):
			out = append(out, Label{name, value})
		}
	}
	return out
}

// Workload is the one that the member's labels named, or the one that its resource's name suggests.
func (m Member) Workload() string {
	for _, l := range m.Breakdown {
		if l.Name == subject.LabelWorkload {
			return l.Value
		}
	}
	return m.Resource.Workload()
}

// member is the one alert of a single incident, from its facts.
func (f Facts) member(fingerprint string, firing bool, breakdown []string) Member {
	r := f.reading()
	return Member{
		Fingerprint: fingerprint, Firing: firing, StartsAt: time.Unix(f.StartsAt, 0).UTC(),
		Severity: clip(
			f.Labels["severity"],
			maxSeverity,
		), Resource: clippedResource(r.Subject), Breakdown: breakdownOf(&r, breakdown), Traits: traitLabels(f.Traits),
	}
}

// clippedResource is a resource with its names cut to what a record holds.
func clippedResource(r subject.Resource) subject.Resource {
	return subject.Resource{
		Kind:      clip(r.Kind, maxName),
		Namespace: clip(r.Namespace, maxName),
		Name:      clip(r.Name, maxName),
	}
}

// factsOf is the JSON of an alert's facts. It is written by hand: every alert of every event has them, and
// encoding/json would take a fifth of the function's time for it.
func factsOf(alert Alert) string {
	b := make([]byte, 0, 1024)
	b = append(b, `{"labels":{`...)
	for i, l := range clipped(alert.Labels) {
		b = appendMember(b, i, l.Name, l.Value)
	}
	b = append(b, '}')
	n := 0
	for _, name := range annotations {
		if value := alert.Annotations[name]; value != "" {
			if n == 0 {
				b = append(b, `,"annotations":{`...)
			}
			b = appendMember(b, n, name, clip(value, maxAnnotation))
			n++
		}
	}
	if n > 0 {
		b = append(b, '}')
	}
	if alert.GeneratorURL != "" {
		b = append(b, `,"generatorURL":`...)
		b = appendString(b, clip(alert.GeneratorURL, maxValue))
	}
	b = append(b, `,"startsAt":`...)
	b = strconv.AppendInt(b, alert.StartsAt.Unix(), 10)
	reading := alert.reading()
	r := clippedResource(reading.Subject)
	b = append(b, `,"resource":{`...)
	b = appendMember(b, 0, "kind", r.Kind)
	if r.Namespace != "" {
		b = appendMember(b, 1, "namespace", r.Namespace)
	}
	b = append(appendMember(b, 1, "name", r.Name), '}')
	if reading.Workload != "" {
		b = appendMember(b, 1, "workload", clip(reading.Workload, maxName))
	}
	if reading.Node != "" {
		b = appendMember(b, 1, "node", clip(reading.Node, maxName))
	}
	for i, t := range alert.traits {
		if i == 0 {
			b = append(b, `,"traits":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, t)
	}
	if len(alert.traits) > 0 {
		b = append(b, ']')
	}
	return string(append(b, '}'))
}

// appendMember writes the i-th member of a JSON object.
func appendMember(b []byte, i int, name, value string) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	b = appendString(b, name)
	b = append(b, ':')
	return appendString(b, value)
}

// appendString writes a JSON string. Most are plain; encoding/json knows what to do with the others.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // A string can always be encoded.
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// facts are what factsOf writes: what an incident shows of an alert, at most maxFacts. Values are cut, and labels that
// come late in the alphabet are left out when there are too many of them.
func facts(alert Alert) Facts {
	r := alert.reading()
	f := Facts{
		Labels: clipLabels(alert.Labels), Annotations: map[string]string{},
		GeneratorURL: clip(alert.GeneratorURL, maxValue), StartsAt: alert.StartsAt.Unix(),
		Resource: clippedResource(r.Subject), Workload: clip(r.Workload, maxName), Node: clip(r.Node, maxName),
		Traits: alert.traits,
	}
	for _, name := range annotations {
		if value := alert.Annotations[name]; value != "" {
			f.Annotations[name] = clip(value, maxAnnotation)
		}
	}
	return f
}

// clipped cuts long values and keeps at most maxFacts bytes of labels, in the order of their names; the alert's name
// always stays.
func clipped(labels map[string]string) []Label {
	out := make([]Label, 0, len(labels))
	for name, value := range labels {
		out = append(out, Label{name, value})
	}
	slices.SortFunc(out, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	kept, size := out[:0], 0
	for _, l := range out {
		l.Value = clip(l.Value, maxValue)
		if size += len(l.Name) + len(l.Value); size <= maxFacts || l.Name == "alertname" {
			kept = append(kept, l)
		}
	}
	return kept
}

// clipLabels are clipped labels by name.
func clipLabels(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for _, l := range clipped(labels) {
		out[l.Name] = l.Value
	}
	return out
}

// common are the labels with their values that all alerts share.
func common(alerts []Alert) map[string]string {
	out := clipLabels(alerts[0].Labels)
	for _, alert := range alerts[1:] {
		for name, value := range out {
			if clip(alert.Labels[name], maxValue) != value {
				delete(out, name)
			}
		}
	}
	return out
}

// clip cuts a value to max bytes at a rune's boundary, and takes control characters out of it.
func clip(s string, max int) string {
	clean := func(r rune) bool { return r < ' ' || r == 0x7f }
	if hasControl(s) {
		s = strings.Map(func(r rune) rune {
			if clean(r) {
				return ' '
			}
			return r
		}, s)
	}
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}

// hasControl looks at bytes: those of a rune of several are all beyond.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
