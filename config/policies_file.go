package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

// Limits of a policies file. A ConfigMap has at most 1 MiB; an alert is matched against one policy after the other.
const (
	maxPoliciesFile = 1 << 20
	maxPolicies     = 100
)

// LoadPolicies reads the policies file at a path. The error names the path and, like that of ParsePolicies, the
// problem.
func LoadPolicies(path string) (Policies, error) {
	content, err := readPolicies(path)
	if err != nil {
		return Policies{}, err
	}
	policies, err := ParsePolicies(content)
	if err != nil {
		return Policies{}, fmt.Errorf("policies file %s: %w", path, err)
	}
	return policies, nil
}

// readPolicies reads at most one byte more than a policies file may have; ParsePolicies then refuses it.
func readPolicies(path string) (content []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policies file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err = io.ReadAll(io.LimitReader(file, maxPoliciesFile+1))
	if err != nil {
		return nil, fmt.Errorf("policies file: %w", err)
	}
	return content, nil
}

// ParsePolicies reads the YAML of a policies file. Fields that are left out have their defaults; unknown and repeated
// ones are refused. The error is one sentence that names each wrong field with its line, policy and value, and says
// what would be right; Problems gives them one by one. A file without outages has the built-in ones.
func ParsePolicies(content []byte) (Policies, error) {
	policies, err := parsePolicies(content)
	if err == nil && policies.Outages == nil {
		policies.Outages = Default().Outages
	}
	return policies, err
}

// parsePolicies leaves Outages nil if the file does not have them.
func parsePolicies(content []byte) (Policies, error) {
	if len(content) > maxPoliciesFile {
		return Policies{}, fmt.Errorf("the file is larger than %d bytes", maxPoliciesFile)
	}
	if documents(content) > 1 {
		return Policies{}, errors.New("the file holds several YAML documents, only one is read")
	}
	converted, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return Policies{}, notYAML(content, err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(converted, &file); err != nil {
		return Policies{}, fmt.Errorf("the file is %s, not a map with the field policies", shownJSON(converted))
	}
	errs := unknownFields(file, []string{"policies", "outages", "subjects", "severities"}, "the file")
	out := Policies{}
	if value, ok := file["subjects"]; ok {
		var err *apis.FieldError
		out.Subjects, err = parseSubjects(value)
		errs = errs.Also(err.ViaField("subjects"))
	}
	var severities Severities
	if value, ok := file["severities"]; ok {
		var err *apis.FieldError
		severities, err = parseSeverities(value)
		errs = errs.Also(err.ViaField("severities"))
	}
	if value, ok := file["outages"]; ok {
		var err *apis.FieldError
		out.Outages, err = parseOutages(value)
		errs = errs.Also(err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(orNull(file["policies"]), &entries); err != nil || len(entries) == 0 ||
		len(entries) > maxPolicies {
		errs = errs.Also(
			wrong(
				"%s is not a list of 1 to %d policies, the last of which has no match",
				shownJSON(orNull(file["policies"])),
				maxPolicies,
			).
				ViaField("policies"),
		)
		return Policies{}, invalidIn(content, errs)
	}
	policies := make([]Policy, len(entries))
	for i, entry := range entries {
		policy, err := parsePolicy(entry, i == len(entries)-1)
		if first := slices.IndexFunc(policies[:i], func(p Policy) bool { return p.Name == policy.Name }); err == nil &&
			first >= 0 {
			err = wrong("%s is the name of policies[%d] already", shown(policy.Name), first).ViaField("name")
		}
		errs = errs.Also(err.ViaFieldIndex("policies", i))
		policy.Severities = severities
		policies[i] = policy
	}
	if err := invalidIn(content, errs); err != nil {
		return Policies{}, err
	}
	setRoutes(policies, file["subjects"])
	out.List = policies
	return out, nil
}

// parsePolicy reads one policy on top of the defaults. The paths of its errors begin inside of the policy.
func parsePolicy(entry json.RawMessage, last bool) (Policy, *apis.FieldError) {
	policy := defaults()
	var given map[string]json.RawMessage
	if err := json.Unmarshal(entry, &given); err != nil || given == nil {
		return policy, wrong("%s is not a policy, a map with at least the field name", shownJSON(entry))
	}
	errs := setFields(&policy, PolicyFields(), given, "a policy")
	if _, named := given["name"]; !named {
		errs = errs.Also(wrong("is missing, give every policy a name of its own, for instance default").ViaField("name"))
	}
	switch _, has := given["match"]; {
	case has && last:
		errs = errs.Also(
			wrong("the last policy takes every alert and has no match, add one like that behind it").ViaField("match"),
		)
	case !has && !last:
		errs = errs.Also(wrong("is missing, only the last policy takes every alert").ViaField("match"))
	}
	if errs != nil {
		return policy, errs
	}
	return policy, policy.together()
}

// setFields sets the fields that are given, and refuses those that are not in the table.
func setFields[T any](of *T, fields []FieldOf[T], given map[string]json.RawMessage, what string) *apis.FieldError {
	keys := make([]string, len(fields))
	for i, field := range fields {
		keys[i] = field.Key
	}
	errs := flatten(given, "flush", "{min: 1s, max: 15s}")
	errs = errs.Also(unknownFields(given, keys, what))
	for _, field := range fields {
		if value, ok := given[field.Key]; ok {
			errs = errs.Also(field.set(of, value).ViaField(field.Key))
		}
	}
	return errs
}

// together checks fields that limit each other, each of which is valid by itself.
func (p *Policy) together() *apis.FieldError {
	var errs *apis.FieldError
	if p.Window > p.Quiet {
		errs = errs.Also(
			wrong("%s is longer than quiet, which is %s", written(p.Window), written(p.Quiet)).ViaField("window"),
		)
	}
	if p.Retention < p.Cooldown {
		errs = errs.Also(
			wrong("%s is shorter than cooldown, which is %s", written(p.Retention), written(p.Cooldown)).ViaField("retention"),
		)
	}
	if p.Flush.Max < p.Flush.Min {
		errs = errs.Also(
			wrong("%s is shorter than flush.min, which is %s", written(p.Flush.Max), written(p.Flush.Min)).ViaField("flush.max"),
		)
	}
	if p.MaxAlerts < p.Threshold {
		errs = errs.Also(wrong("%d is less than threshold, which is %d", p.MaxAlerts, p.Threshold).ViaField("maxAlerts"))
	}
	return errs
}

// flatten moves the fields of an inner map up, with the outer name in front: flush: {min: 1s} becomes flush.min: 1s.
func flatten(given map[string]json.RawMessage, name, example string) *apis.FieldError {
	value, ok := given[name]
	if !ok {
		return nil
	}
	delete(given, name)
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(value, &inner); err != nil || inner == nil {
		return wrong("%s is not a map, for instance %s", shownJSON(value), example).ViaField(name)
	}
	for key, value := range inner {
		given[name+"."+key] = value
	}
	return nil
}

// unknownFields refuses names that are not in the list, since a mistyped field silently does nothing.
func unknownFields(given map[string]json.RawMessage, known []string, of string) *apis.FieldError {
	var errs *apis.FieldError
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, key) {
			err := wrong(
				"%s is not a field of %s, %s",
				shown(key),
				of,
				didYouMean(key, known, 2, "which has "+strings.Join(known, ", ")),
			)
			err.Details = key // By which its line is found.
			errs = errs.Also(err)
		}
	}
	return errs
}

// documents counts the YAML documents with content. The library would read only the first one.
func documents(content []byte) int {
	count, inside := 0, false
	for line := range bytes.Lines(content) {
		for _, marker := range []string{"---", "..."} {
			if rest, ok := bytes.CutPrefix(line, []byte(marker)); ok &&
				(len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n")) {
				line, inside = rest, false
			}
		}
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' && text[0] != '%' && !inside {
			inside = true
			count++
		}
	}
	return count
}

func orNull(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}

// written is a duration in the notation of a policies file.
func written(d time.Duration) string { return model.Duration(d).String() }
