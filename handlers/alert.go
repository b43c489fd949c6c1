package handlers

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/stormfold/stormfold/aggregator"
)

// alert is one alert of Alertmanager's document. Times are text here, so that an error can repeat what was sent.
type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
	Lookups      map[string]string `json:"lookups"`
}

// rawAlert is the same alert with unparsed fields.
type rawAlert struct {
	Status       json.RawMessage `json:"status"`
	Labels       json.RawMessage `json:"labels"`
	Annotations  json.RawMessage `json:"annotations"`
	StartsAt     json.RawMessage `json:"startsAt"`
	EndsAt       json.RawMessage `json:"endsAt"`
	GeneratorURL json.RawMessage `json:"generatorURL"`
	Fingerprint  json.RawMessage `json:"fingerprint"`
	Lookups      json.RawMessage `json:"lookups"`
}

// read reads one alert. A label or annotation that is not a string gets its JSON as the value.
func (a *alert) read(data json.RawMessage) *Invalid {
	if unmarshalStrict(data, a) {
		return nil
	}
	*a = alert{}
	if !utf8.Valid(data) {
		// encoding/json would replace invalid bytes with U+FFFD, and two label sets could become one.
		return &Invalid{Field: "data", Problem: "it is not valid UTF-8", leaves: LeftOutEncoding}
	}
	var raw rawAlert
	if invalid := unmarshal(data, &raw); invalid != nil {
		invalid.leaves = LeftOutType
		return invalid
	}
	for _, field := range []struct {
		name   string
		raw    json.RawMessage
		to     *string
		leaves LeftOutReason
	}{
		{"status", raw.Status, &a.Status, LeftOutStatus},
		{"startsAt", raw.StartsAt, &a.StartsAt, LeftOutTime},
	} {
		if kind := kindOf(field.raw); kind != "string" && kind != "null" {
			invalid := mismatch(field.name, field.raw, "a string")
			invalid.leaves = field.leaves
			return invalid
		}
		*field.to = text(field.raw)
	}
	var ok bool
	if a.Labels, ok = texts(raw.Labels); !ok {
		invalid := mismatch("labels", raw.Labels, "an object of strings")
		invalid.leaves = LeftOutLabels
		return invalid
	}
	a.Annotations, _ = texts(raw.Annotations)
	a.Lookups, _ = texts(raw.Lookups)
	a.EndsAt, a.GeneratorURL, a.Fingerprint = text(raw.EndsAt), text(raw.GeneratorURL), text(raw.Fingerprint)
	return nil
}

// texts are the values of an object as strings. It returns false if the JSON is not an object.
func texts(raw json.RawMessage) (map[string]string, bool) {
	if kindOf(raw) == "null" {
		return nil, true
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return nil, false
	}
	out := make(map[string]string, len(values))
	for name, value := range values {
		out[name] = text(value)
	}
	return out, true
}

// validate makes an alert of what was sent, without its notifiedAt. It takes ownership of the maps. An alert without
// startsAt started at the time of its event.
func (a *alert) validate(at time.Time) (aggregator.Alert, *Invalid) {
	out := aggregator.Alert{
		Status: aggregator.Status(a.Status), Annotations: trimAnnotations(a.Annotations),
		GeneratorURL: cut(a.GeneratorURL, MaxGeneratorURL), Lookups: lookups(a.Lookups),
	}
	if out.Status != aggregator.Firing && out.Status != aggregator.Resolved {
		return out, &Invalid{
			Field:   "status",
			Problem: quote(a.Status) + " is neither firing nor resolved",
			leaves:  LeftOutStatus,
		}
	}
	dropEmpty(a.Labels)
	out.Fingerprint = a.fingerprint()
	out.Labels = trimLabels(a.Labels)
	if len(out.Labels) == 0 {
		return out, &Invalid{Field: "labels", Problem: "there are none", leaves: LeftOutLabels}
	}
	var invalid *Invalid
	if out.StartsAt, invalid = parseTime("startsAt", a.StartsAt); invalid != nil {
		invalid.leaves = LeftOutTime
		return out, invalid
	}
	if out.StartsAt.IsZero() {
		out.StartsAt = at
	}
	if out.Status == aggregator.Resolved { // For a firing alert it is the time at which the sender would resolve it.
		out.EndsAt, _ = parseTime("endsAt", a.EndsAt) // An invalid end counts as unknown.
	}
	return out, nil
}

// fingerprint is the one that was sent, whatever the labels: a sender that rewrites labels still distinguishes its
// alerts. Without a valid one it is made of all labels, including those that are later cut or left out.
func (a *alert) fingerprint() string {
	if len(a.Fingerprint) != 16 || strings.Trim(a.Fingerprint, "0123456789abcdefABCDEF") != "" {
		return fingerprint(a.Labels)
	}
	return strings.ToLower(a.Fingerprint)
}

// fingerprint is Alertmanager's own for that label set.
func fingerprint(labels map[string]string) string {
	set := make(model.LabelSet, len(labels))
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.Fingerprint().String()
}

// lookups are the known ones. One that is longer than a name in Kubernetes is left out.
func lookups(sent map[string]string) map[string]string {
	var out map[string]string
	for _, name := range [...]string{"node", "zone", "owner"} {
		if value := sent[name]; value != "" && len(value) <= MaxLookup {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}
