package config

import (
	"encoding/json"
	"slices"

	"knative.dev/pkg/apis"
)

// maxOutages is the maximum number of outage policies in a file. Each incident is matched against all of them.
const maxOutages = 20

// parseOutages reads the list of outage policies. The paths of its errors begin with outages.
func parseOutages(value json.RawMessage) ([]Outage, *apis.FieldError) {
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil || entries == nil || len(entries) > maxOutages {
		return nil, wrong(
			"%s is not a list of up to %d outage policies, for instance [{name: node, groupBy: [cluster, node]}]",
			shownJSON(value),
			maxOutages,
		).ViaField("outages")
	}
	var errs *apis.FieldError
	outages := make([]Outage, len(entries))
	for i, entry := range entries {
		outage, err := parseOutage(entry)
		if first := slices.IndexFunc(outages[:i], func(o Outage) bool { return o.Name == outage.Name }); err == nil &&
			first >= 0 {
			err = wrong("%s is the name of outages[%d] already", shown(outage.Name), first).ViaField("name")
		}
		errs = errs.Also(err.ViaFieldIndex("outages", i))
		outage.Rank = i
		outages[i] = outage
	}
	return outages, errs
}

// parseOutage reads one outage policy on top of the defaults. The paths of its errors begin inside of it.
func parseOutage(entry json.RawMessage) (Outage, *apis.FieldError) {
	var outage Outage
	setDefaults(&outage, OutageFields())
	var given map[string]json.RawMessage
	if err := json.Unmarshal(entry, &given); err != nil || given == nil {
		return outage, wrong("%s is not an outage policy, a map with at least the field name", shownJSON(entry))
	}
	errs := setFields(&outage, OutageFields(), given, "an outage policy")
	if _, named := given["name"]; !named {
		errs = errs.Also(wrong("is missing, give every outage policy a name of its own, for instance node").ViaField("name"))
	}
	if errs != nil {
		return outage, errs
	}
	return outage, outage.together()
}

// together checks fields that limit each other, each of which is valid by itself.
func (o *Outage) together() *apis.FieldError {
	var errs *apis.FieldError
	if o.Retention < o.Cooldown {
		errs = errs.Also(
			wrong("%s is shorter than cooldown, which is %s", written(o.Retention), written(o.Cooldown)).ViaField("retention"),
		)
	}
	if o.Flush.Max < o.Flush.Min {
		errs = errs.Also(
			wrong("%s is shorter than flush.min, which is %s", written(o.Flush.Max), written(o.Flush.Min)).ViaField("flush.max"),
		)
	}
	if o.MaxIncidents < o.Threshold {
		errs = errs.Also(
			wrong("%d is less than threshold, which is %d", o.MaxIncidents, o.Threshold).ViaField("maxIncidents"),
		)
	}
	if slices.Contains(o.GroupBy, o.Distinct) {
		errs = errs.Also(
			wrong(
				"%s is in groupBy, so an outage has one value of it; count another label",
				shown(o.Distinct),
			).ViaField("distinct"),
		)
	}
	return errs
}
