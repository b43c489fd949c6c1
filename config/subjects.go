package config

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"knative.dev/pkg/apis"

	"github.com/stormfold/stormfold/internal/subject"
)

// Limits of the rules about subjects. Each alert is matched against all of them.
const (
	maxSubjects = 50
	maxTargets  = 16
)

// subjectFields are those of one rule about subjects.
var subjectFields = []string{"match", "kind", "name", "namespace", "target"}

// kindName matches valid kinds.
var kindName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)

// parseSubjects reads the list of rules that say what alerts are about.
func parseSubjects(value json.RawMessage) (subject.Rules, *apis.FieldError) {
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil || entries == nil || len(entries) > maxSubjects {
		return nil, wrong(
			"%s is not a list of up to %d rules, for instance [{match: ['job=\"ceph\"'], kind: CephCluster, name: cluster}]",
			shownJSON(value),
			maxSubjects,
		)
	}
	var errs *apis.FieldError
	rules := make(subject.Rules, len(entries))
	for i, entry := range entries {
		var err *apis.FieldError
		rules[i], err = parseSubject(entry)
		errs = errs.Also(err.ViaIndex(i))
	}
	return rules, errs
}

func parseSubject(entry json.RawMessage) (subject.Rule, *apis.FieldError) {
	var rule subject.Rule
	var given map[string]json.RawMessage
	if err := json.Unmarshal(entry, &given); err != nil || given == nil {
		return rule, wrong("%s is not a rule, a map with match, and with kind and name or target", shownJSON(entry))
	}
	errs := unknownFields(given, subjectFields, "a rule")
	if value, ok := given["match"]; !ok {
		errs = errs.Also(wrong(`is missing, say for which alerts the rule is, for instance ['job="ceph"']`).ViaField("match"))
	} else {
		var err *apis.FieldError
		rule.Matchers, err = matchersOf(value)
		errs = errs.Also(err.ViaField("match"))
	}
	if value, ok := given["kind"]; ok {
		if err := json.Unmarshal(value, &rule.Kind); err != nil || !kindName.MatchString(rule.Kind) {
			errs = errs.Also(wrong("%s is not a kind, for instance CephCluster", shownJSON(value)).ViaField("kind"))
		}
	}
	label := func(field string, into *string) {
		if value, ok := given[field]; ok {
			name, err := labelName(value)
			*into, errs = name, errs.Also(err.ViaField(field))
		}
	}
	label("name", &rule.Name)
	label("namespace", &rule.Namespace)
	if value, ok := given["target"]; ok {
		var p Policy
		field := labelsField("target", "[pod, instance]", maxTargets, "", func(p *Policy) *[]string { return &p.GroupBy })
		errs = errs.Also(field.set(&p, value).ViaField("target"))
		rule.Target = p.GroupBy
	}
	if errs != nil {
		return rule, errs
	}
	return rule, togetherSubject(rule, given)
}

// togetherSubject checks fields that depend on each other.
func togetherSubject(rule subject.Rule, given map[string]json.RawMessage) *apis.FieldError {
	switch {
	case given["kind"] == nil && given["name"] != nil:
		return wrong(
			"is missing, say what kind of object the label %s names, for instance CephCluster",
			rule.Name,
		).ViaField("kind")
	case given["kind"] == nil && given["namespace"] != nil:
		return wrong("goes with kind and name only").ViaField("namespace")
	case given["kind"] != nil && given["name"] == nil:
		return wrong("is missing, say which label holds the name of the %s", rule.Kind).ViaField("name")
	case given["kind"] == nil && len(rule.Target) == 0:
		return wrong(
			"is missing; a rule needs kind and name for what its alerts are about, or target for the labels about the scrape target",
		).ViaField("kind")
	case rule.Name != "" && slices.Contains(rule.Target, rule.Name):
		return wrong("%s names the subject, it cannot be about the target", rule.Name).ViaField("target")
	case rule.Namespace != "" && slices.Contains(rule.Target, rule.Namespace):
		return wrong("%s is the subject's namespace, it cannot be about the target", rule.Namespace).ViaField("target")
	}
	return nil
}

// Bounds of the words for severities: how many, and how long each, in bytes.
const (
	maxSeverities = 50
	maxSeverity   = 63
)

// parseSeverities reads the words for severities, the worst first: each entry is one word, or a list of words that are
// equally bad.
func parseSeverities(value json.RawMessage) (Severities, *apis.FieldError) {
	const example = "[[critical, page], warning, info]"
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil || len(entries) == 0 {
		return nil, wrong("%s is not a list of words, the worst first, for instance %s", shownJSON(value), example)
	}
	var out Severities
	seen := map[string]bool{}
	for i, entry := range entries {
		var words []string
		if err := json.Unmarshal(entry, &words); err != nil {
			words = make([]string, 1)
			if json.Unmarshal(entry, &words[0]) != nil {
				words = nil
			}
		}
		if len(words) == 0 {
			return nil, wrong("%s is neither a word nor a list of words, for instance %s", shownJSON(entry), example).ViaIndex(i)
		}
		for _, word := range words {
			folded := strings.ToLower(word)
			if word == "" || len(word) > maxSeverity || seen[folded] {
				return nil, wrong("%s is not a word of 1 to %d bytes that is there once", shown(word), maxSeverity).ViaIndex(i)
			}
			seen[folded] = true
		}
		out = append(out, words)
	}
	if len(seen) > maxSeverities {
		return nil, wrong("there are %d words, at most %d are allowed", len(seen), maxSeverities)
	}
	return out, nil
}
