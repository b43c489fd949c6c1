package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// With returns the policies with one field of one of them changed, as in "default.threshold=10": the policy's name, the
// field as PolicyFields names it, and a value in YAML. The policies themselves do not change. Name and matchers cannot
// be changed that way: they identify the policy. The error is one sentence.
func (p Policies) With(change string) (Policies, error) {
	path, text, found := strings.Cut(change, "=")
	name, key, dotted := strings.Cut(path, ".")
	if !found || !dotted || name == "" || key == "" {
		return Policies{}, fmt.Errorf("%s is not a change of a policy, for instance default.threshold=10", shown(change))
	}
	at := slices.IndexFunc(p.List, func(policy Policy) bool { return policy.Name == name })
	if at < 0 {
		names := make([]string, len(p.List))
		for i := range p.List {
			names[i] = p.List[i].Name
		}
		return Policies{}, fmt.Errorf("%s: there is no policy %s, %s", shown(change), shown(name),
			didYouMean(name, names, 2, "only "+strings.Join(names, ", ")))
	}
	var field *Field
	var keys []string
	for _, f := range PolicyFields() {
		if f.Key == "name" || f.Key == "match" {
			continue
		}
		keys = append(keys, f.Key)
		if f.Key == key {
			field = &f
		}
	}
	if field == nil {
		return Policies{}, fmt.Errorf("%s: %s is not a field that can be changed, %s", shown(change), shown(key),
			didYouMean(key, keys, 2, "which are "+strings.Join(keys, ", ")))
	}
	value, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return Policies{}, errors.New(shown(change) + ": " + shown(text) + " is not a value in YAML")
	}
	changed := p
	changed.List = slices.Clone(p.List)
	errs := field.set(&changed.List[at], value).ViaField(key).ViaField(name)
	if errs == nil {
		errs = changed.List[at].together().ViaField(name)
	}
	if err := invalidOrNil(errs); err != nil {
		return Policies{}, err
	}
	return changed, nil
}
