package config

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"knative.dev/pkg/apis"
)

// OutageFields is every field of an outage policy, in the order of the documentation.
func OutageFields() []FieldOf[Outage] {
	return []FieldOf[Outage]{
		nameField("Part of the identity of the policy's outages, and the value of their label `outage`.",
			func(o *Outage) *string { return &o.Name }),
		matchersField(
			"match",
			"",
			"Which incidents may be part of an outage, by their labels. All must match. Without it, all incidents may.",
			func(o *Outage) *labels.Matchers { return &o.Matchers },
		),
		labelsField("groupBy", "[cluster]", 16, "The incidents of an outage have equal values of these labels.",
			func(o *Outage) *[]string { return &o.GroupBy }),
		numberField(
			"threshold",
			"2",
			"incidents",
			2,
			1000,
			"Number of incidents that began within `window` that make an outage.",
			func(o *Outage) *int { return &o.Threshold },
		),
		{
			Key: "distinct", Unit: "label", Bound: fmt.Sprintf("one of up to %d bytes, not in `groupBy`", maxLabelName),
			Help: "With it, `threshold` counts the values of this label instead of incidents; with `cause` too, among the causes only.",
			set: func(o *Outage, value json.RawMessage) (err *apis.FieldError) {
				o.Distinct, err = labelName(value)
				return err
			},
		},
		durationField("window", "30m", "1s", "1h", "", "Period for `threshold`.",
			func(o *Outage) *time.Duration { return &o.Window }),
		matchersField(
			"cause",
			"",
			"Which incidents explain the others. All must match, on an alert of the incident or on the incident itself. "+
				"With it, an outage exists only while one of them is part of it.",
			func(o *Outage) *labels.Matchers { return &o.Cause },
		),
		durationField(
			"cooldown",
			"20m",
			"0s",
			"24h",
			"",
			"An incident that begins within that time of the outage's end reopens the outage.",
			func(o *Outage) *time.Duration { return &o.Cooldown },
		),
		durationField(
			"retention",
			"168h",
			"0s",
			"365d",
			"at least `cooldown`",
			"How long a resolved outage is kept in Kubernetes.",
			func(o *Outage) *time.Duration { return &o.Retention },
		),
		durationField(
			"hold",
			"0s",
			"0s",
			"10m",
			"",
			"Delay of an outage's first write, so that a policy before it can take the incidents.",
			func(o *Outage) *time.Duration { return &o.Hold },
		),
		durationField(
			"flush.min",
			"1s",
			"100ms",
			"1m",
			"",
			"Minimum interval between two writes of an outage. It doubles while changes continue.",
			func(o *Outage) *time.Duration { return &o.Flush.Min },
		),
		durationField("flush.max", "15s", "100ms", "10m", "at least `flush.min`", "Maximum of that interval.",
			func(o *Outage) *time.Duration { return &o.Flush.Max }),
		numberField("maxIncidents", "1000", "incidents", 2, 2000,
			"Maximum number of incidents in an outage, at least `threshold`. Above it, counts are lower bounds.",
			func(o *Outage) *int { return &o.MaxIncidents }),
		numberField(
			"maxListed",
			"20",
			"incidents",
			1,
			500,
			"Maximum number of incidents that an outage lists. The counts stay exact.",
			func(o *Outage) *int { return &o.MaxListed },
		),
	}
}
