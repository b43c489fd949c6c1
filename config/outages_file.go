package config

import (
	"encoding/json"
	"slices"

	"knative.dev/pkg/apis"
)

// maxOutages is how many outage policies a file may have.
const maxOutages = 20

// parseOutages reads the outage policies of a file. A file without the field has none.
func parseOutages(value json.RawMessage) ([]Outage, *apis.FieldError) {
	if value == nil {
		return nil, nil
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil || entries == nil || len(entries) > maxOutages {
		return nil, wrong("%s is not a list of up to %d outage policies", shownJSON(value), maxOutages).ViaField("outages")
	}
	var errs *apis.FieldError
	outages := make([]Outage, len(entries))
	for i, entry := range entries {
		outage, err := parseOutage(entry)
		first := slices.IndexFunc(outages[:i], func(o Outage) bool { return o.Name == outage.Name })
		if err == nil && first >= 0 {
			err = wrong("%s is the name of outages[%d] already", shown(outage.Name), first).ViaField("name")
		}
		errs = errs.Also(err.ViaFieldIndex("outages", i))
		outage.Rank = i
		outages[i] = outage
	}
	return outages, errs
}

// parseOutage reads one outage policy on top of the defaults.
func parseOutage(entry json.RawMessage) (Outage, *apis.FieldError) {
	var outage Outage
	fields := OutageFields()
	for _, field := range fields {
		if field.Default == "" {
			continue
		}
		if err := field.set(&outage, mustJSON(field.Default)); err != nil {
			panic(field.Key + ": " + err.Error()) // The table contradicts itself; every test that reads an outage policy fails.
		}
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(entry, &given); err != nil || given == nil {
		return outage, wrong("%s is not an outage policy, a map with at least the field name", shownJSON(entry))
	}
	errs := setFields(&outage, given, fields, "an outage policy")
	if _, named := given["name"]; !named {
		errs = errs.Also(wrong("is missing, give every outage policy a name of its own, for instance node").ViaField("name"))
	}
	if errs == nil && outage.Retention < outage.Cooldown {
		errs = wrong("%s is shorter than cooldown, which is %s", written(outage.Retention), written(outage.Cooldown)).
			ViaField("retention")
	}
	if errs == nil && outage.Flush.Max < outage.Flush.Min {
		errs = wrong("%s is shorter than flush.min, which is %s", written(outage.Flush.Max), written(outage.Flush.Min)).
			ViaField("flush.max")
	}
	return outage, errs
}
