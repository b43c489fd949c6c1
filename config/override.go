package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

// With returns the policies with one field of one of them changed, as in "default.threshold=10": the name of a policy
// or of an outage policy, the field as PolicyFields or OutageFields name it, and a value in YAML. A policy comes before
// an outage policy of the same name. The policies themselves do not change. Name and matchers cannot be changed that
// way: they identify the policy. The error is one sentence.
func (p Policies) With(change string) (Policies, error) {
	path, text, found := strings.Cut(change, "=")
	name, key, dotted := strings.Cut(path, ".")
	if !found || !dotted || name == "" || key == "" {
		return Policies{}, fmt.Errorf("%s is not a change of a policy, for instance default.threshold=10", shown(change))
	}
	changed := p
	if i := slices.IndexFunc(p.List, func(policy Policy) bool { return policy.Name == name }); i >= 0 {
		changed.List = slices.Clone(p.List)
		return changed, changeField(&changed.List[i], PolicyFields(), change, name, key, text)
	}
	if i := slices.IndexFunc(p.Outages, func(o Outage) bool { return o.Name == name }); i >= 0 {
		changed.Outages = slices.Clone(p.Outages)
		return changed, changeField(&changed.Outages[i], OutageFields(), change, name, key, text)
	}
	var names []string
	for i := range p.List {
		names = append(names, p.List[i].Name)
	}
	for i := range p.Outages {
		names = append(names, p.Outages[i].Name)
	}
	return Policies{}, fmt.Errorf("%s: there is no policy %s, %s", shown(change), shown(name),
		didYouMean(name, names, 2, "only "+strings.Join(names, ", ")))
}

// changeField changes one field of a policy, and checks the policy.
func changeField[T any, P interface {
	*T
	together() *apis.FieldError
}](of P, fields []FieldOf[T], change, name, key, text string) error {
	var field *FieldOf[T]
	var keys []string
	for _, f := range fields {
		if f.Key == "name" || f.Key == "match" {
			continue
		}
		keys = append(keys, f.Key)
		if f.Key == key {
			field = &f
		}
	}
	if field == nil {
		return fmt.Errorf("%s: %s is not a field that can be changed, %s", shown(change), shown(key),
			didYouMean(key, keys, 2, "which are "+strings.Join(keys, ", ")))
	}
	value, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return errors.New(shown(change) + ": " + shown(text) + " is not a value in YAML")
	}
	errs := field.set(of, value).ViaField(key).ViaField(name)
	if errs == nil {
		errs = of.together().ViaField(name)
	}
	return invalidOrNil(errs)
}
