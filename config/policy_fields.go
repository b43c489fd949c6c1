package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"k8s.io/apimachinery/pkg/util/validation"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

// Bounds of the matchers of one policy: far above what people write, and small enough to try all of them per alert.
const (
	maxMatchers      = 16
	maxMatcherLength = 1024
)

// maxLabelName is the longest name of a label that a policy may use, in bytes.
const maxLabelName = 128

// Field is one line of the table of a policy's fields.
type Field = FieldOf[Policy]

// FieldOf is one line of the table of the fields of a T, which is a Policy or an Outage.
type FieldOf[T any] struct {
	// Key is the field's path, such as flush.min.
	Key string
	// Default is the value of an omitted field, in YAML; empty for none.
	Default string
	// Unit is the kind of value.
	Unit string
	// Bound describes the allowed values.
	Bound string
	// Help is one sentence about the effect of the field.
	Help string

	// set parses a JSON value into the T.
	set func(of *T, value json.RawMessage) *apis.FieldError
}

// PolicyFields is every field of a policy, in the order of the documentation.
func PolicyFields() []Field {
	return []Field{
		nameField("Part of the identity of the policy's groups: a new name starts new groups.",
			func(p *Policy) *string { return &p.Name }),
		matchersField(
			"match",
			"; none in the last policy",
			"Matchers in Alertmanager's notation: `=`, `!=`, `=~`, `!~`. All must match.",
			func(p *Policy) *labels.Matchers { return &p.Matchers },
		),
		{
			Key: "drop", Default: "false", Unit: "boolean", Bound: "true or false",
			Help: "True accepts and counts the policy's alerts, but makes no incidents.", set: setDrop,
		},
		labelsField("groupBy", "[cluster, namespace, alertname]", 16,
			"Alerts with equal values of these labels, own or derived, are a group. `[]`: all alerts.",
			func(p *Policy) *[]string { return &p.GroupBy }),
		numberField(
			"threshold",
			"5",
			"alerts",
			1,
			1000,
			"Number of alerts, firing or started within `window`, that make a storm. With 1, the first alert opens the group's one incident.",
			func(p *Policy) *int { return &p.Threshold },
		),
		durationField("window", "15m", "1s", "1h", "at most `quiet`", "Period for `threshold`.",
			func(p *Policy) *time.Duration { return &p.Window }),
		durationField(
			"quiet",
			"13h",
			"1s",
			"30d",
			"",
			"An alert that is not reported for that long is over. Without any other alert, the incident ends with reason Quiet. "+
				"Keep it above `repeat_interval`.",
			func(p *Policy) *time.Duration { return &p.Quiet },
		),
		durationField(
			"maxDuration",
			"168h",
			"1s",
			"30d",
			"",
			"Age at which an incident ends with reason MaxDuration. Alerts that still fire get a new one.",
			func(p *Policy) *time.Duration { return &p.MaxDuration },
		),
		durationField(
			"cooldown",
			"20m",
			"0s",
			"24h",
			"",
			"An alert that fires within that time of the resolution reopens the incident.",
			func(p *Policy) *time.Duration { return &p.Cooldown },
		),
		durationField(
			"retention",
			"168h",
			"0s",
			"365d",
			"at least `cooldown`",
			"How long a resolved incident is kept in Kubernetes.",
			func(p *Policy) *time.Duration { return &p.Retention },
		),
		durationField(
			"hold",
			"0s",
			"0s",
			"10m",
			"",
			"Delay of a group's first write, so that a burst is a storm from the start.",
			func(p *Policy) *time.Duration { return &p.Hold },
		),
		durationField(
			"flush.min",
			"1s",
			"100ms",
			"1m",
			"",
			"Minimum interval between two writes of a group. It doubles while changes continue.",
			func(p *Policy) *time.Duration { return &p.Flush.Min },
		),
		durationField("flush.max", "15s", "100ms", "10m", "at least `flush.min`", "Maximum of that interval.",
			func(p *Policy) *time.Duration { return &p.Flush.Max }),
		numberField("maxAlerts", "10000", "alerts", 1, 10000,
			"Maximum number of alerts in a group, at least `threshold`. Above it, counts are lower bounds.",
			func(p *Policy) *int { return &p.MaxAlerts }),
		numberField(
			"maxListed",
			"500",
			"resources",
			1,
			500,
			"Maximum number of resources that an incident lists. The counts stay exact.",
			func(p *Policy) *int { return &p.MaxListed },
		),
		numberField("maxGroups", "1000", "groups per shard", 1, 100000,
			"Maximum number of groups; further ones share an overflow group.",
			func(p *Policy) *int { return &p.MaxGroups }),
		wordField("onRedisFailure", OnRedisFailureRetry, []string{OnRedisFailureRetry, OnRedisFailurePassthrough},
			"`retry` refuses events while Redis fails. `passthrough` also writes an incident for each "+
				"firing alert, which its group takes over later; it costs one list per opened incident.",
			func(p *Policy) *string { return &p.OnRedisFailure }),
		labelsField("breakdown", "[namespace, node, severity, workload]", 8,
			"Labels whose values are counted as hotspots.",
			func(p *Policy) *[]string { return &p.Breakdown }),
	}
}

func nameField[T any](help string, field func(*T) *string) FieldOf[T] {
	return FieldOf[T]{
		Key: "name", Unit: "name", Bound: "a DNS label, unique; required", Help: help,
		set: func(of *T, value json.RawMessage) *apis.FieldError {
			name := field(of)
			if err := json.Unmarshal(value, name); err != nil || len(validation.IsDNS1123Label(*name)) > 0 {
				return wrong(
					"%s is not a name, which has up to 63 of a-z, 0-9 and - and neither begins nor ends with -, for instance default",
					shownJSON(value),
				)
			}
			return nil
		},
	}
}

func matchersField[T any](key, also, help string, field func(*T) *labels.Matchers) FieldOf[T] {
	return FieldOf[T]{
		Key: key, Unit: "matchers", Bound: fmt.Sprintf("1 to %d of up to %d bytes%s", maxMatchers, maxMatcherLength, also),
		Help: help,
		set: func(of *T, value json.RawMessage) *apis.FieldError {
			matchers, err := matchersOf(value)
			*field(of) = matchers
			return err
		},
	}
}

// matchersOf reads a list of matchers in Alertmanager's notation.
func matchersOf(value json.RawMessage) (labels.Matchers, *apis.FieldError) {
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil || len(entries) == 0 {
		return nil, wrong(`%s is not a list of matchers, for instance ["severity=~\"critical|page\""]`, shownJSON(value))
	}
	var out labels.Matchers
	for i, entry := range entries {
		var text string
		var matchers []*labels.Matcher
		err := json.Unmarshal(entry, &text)
		if err == nil && len(text) <= maxMatcherLength {
			matchers, err = parseMatchers(text)
		}
		if err != nil || len(matchers) == 0 {
			return nil, wrong(
				`%s is not a matcher of up to %d bytes, for instance severity=~"critical|page"`,
				shownJSON(entry),
				maxMatcherLength,
			).
				ViaIndex(i)
		}
		out = append(out, matchers...)
	}
	if len(out) > maxMatchers {
		return nil, wrong("there are %d matchers, at most %d are allowed", len(out), maxMatchers)
	}
	return out, nil
}

// parseMatchers reads matchers as Alertmanager does: label names in UTF-8 first, and what only the older syntax allows,
// such as unquoted commas in a value, by that.
func parseMatchers(text string) (labels.Matchers, error) { return anyMatchers(text, "policies") }

var anyMatchers = compat.FallbackMatchersParser(promslog.NewNopLogger())

// labelName is the name of a label that a policy may use: any that Prometheus allows, but for = and control characters,
// which records of alerts cannot hold.
func labelName(value json.RawMessage) (string, *apis.FieldError) {
	var name string
	err := json.Unmarshal(value, &name)
	if err != nil || len(name) > maxLabelName || !model.UTF8Validation.IsValidLabelName(name) ||
		strings.ContainsFunc(name, notInNames) {
		return "", wrong(
			"%s is not the name of a label, up to %d bytes without = and control characters, for instance namespace",
			shownJSON(value),
			maxLabelName,
		)
	}
	return name, nil
}

func notInNames(r rune) bool { return r == '=' || r < ' ' || r == 0x7f }

func setDrop(p *Policy, value json.RawMessage) *apis.FieldError {
	if err := json.Unmarshal(value, &p.Drop); err != nil || string(value) == "null" {
		return wrong("%s is not true or false", shownJSON(value))
	}
	return nil
}

func durationField[T any](key, byDefault, from, to, also, help string, field func(*T) *time.Duration) FieldOf[T] {
	within := durationsFrom(from, to)
	bound := within.bound()
	if also != "" {
		bound += ", " + also
	}
	return FieldOf[T]{
		Key: key, Default: byDefault, Unit: "duration", Bound: bound, Help: help,
		set: func(of *T, value json.RawMessage) *apis.FieldError {
			d, err := model.ParseDuration(scalar(value))
			if err != nil || !within.has(time.Duration(d)) {
				return wrong("%s", within.refuse(shownJSON(value), byDefault))
			}
			*field(of) = time.Duration(d)
			return nil
		},
	}
}

func numberField[T any](key, byDefault, unit string, from, to int, help string, field func(*T) *int) FieldOf[T] {
	within := numbers{from, to}
	return FieldOf[T]{
		Key: key, Default: byDefault, Unit: unit, Bound: within.bound(), Help: help,
		set: func(of *T, value json.RawMessage) *apis.FieldError {
			n, err := strconv.Atoi(string(value))
			if err != nil || !within.has(n) {
				return wrong("%s", within.refuse(shownJSON(value), byDefault))
			}
			*field(of) = n
			return nil
		},
	}
}

func wordField[T any](key, byDefault string, words []string, help string, field func(*T) *string) FieldOf[T] {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = "`" + word + "`"
	}
	return FieldOf[T]{
		Key: key, Default: byDefault, Unit: "word", Bound: strings.Join(quoted, " or "), Help: help,
		set: func(of *T, value json.RawMessage) *apis.FieldError {
			var word string
			if err := json.Unmarshal(value, &word); err != nil || !slices.Contains(words, word) {
				return wrong("%s is not %s", shownJSON(value), strings.Join(words, " or "))
			}
			*field(of) = word
			return nil
		},
	}
}

func labelsField[T any](key, byDefault string, most int, help string, field func(*T) *[]string) FieldOf[T] {
	return FieldOf[T]{
		Key: key, Default: byDefault, Unit: "labels", Bound: fmt.Sprintf("0 to %d distinct ones of up to %d bytes", most,
			maxLabelName), Help: help,
		set: func(of *T, value json.RawMessage) *apis.FieldError {
			var entries []json.RawMessage
			if err := json.Unmarshal(value, &entries); err != nil || entries == nil || len(entries) > most {
				return wrong("%s is not a list of up to %d label names, for instance %s", shownJSON(value), most, byDefault)
			}
			names := make([]string, len(entries))
			for i, entry := range entries {
				var err *apis.FieldError
				if names[i], err = labelName(entry); err != nil {
					return err.ViaIndex(i)
				}
				if slices.Contains(names[:i], names[i]) {
					return wrong("%s is there already, name each label once", shownJSON(entry)).ViaIndex(i)
				}
			}
			*field(of) = names
			return nil
		},
	}
}

// scalar is a YAML string, or the digits of a number: a duration of zero may be written without quotes and unit.
func scalar(value json.RawMessage) string {
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return string(value)
	}
	return s
}

// shownJSON is a value as errors repeat it: strings quoted, the rest as it is, and cut.
func shownJSON(value json.RawMessage) string {
	var s string
	if err := json.Unmarshal(value, &s); err == nil && string(value) != "null" {
		return shown(s)
	}
	if runes := []rune(string(value)); len(runes) > maxShown {
		return string(runes[:maxShown]) + "..."
	}
	return string(value)
}

// mustJSON reads a default of the table in this file.
func mustJSON(text string) json.RawMessage {
	value, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		panic(err)
	}
	return value
}
