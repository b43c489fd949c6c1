package config

import (
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// OutageFields is every field of an outage policy, in the order of the documentation.
func OutageFields() []FieldOf[Outage] {
	return []FieldOf[Outage]{
		{
			Key: "name", Unit: "name", Bound: "a DNS label, unique; required",
			Help: "Part of the identity of the policy's outages.", set: setName(func(o *Outage) *string { return &o.Name }),
		},
		{
			Key: "match", Unit: "matchers", Bound: fmt.Sprintf("1 to %d of up to %d bytes", maxMatchers, maxMatcherLength),
			Help: "Matchers on the labels of an incident. All must match.",
			set:  setMatch(func(o *Outage) *labels.Matchers { return &o.Matchers }),
		},
		labelsField("groupBy", "[cluster]", 16,
			"The incidents of an outage share these labels. Without one of them, other than `cluster`, an incident is in none.",
			func(o *Outage) *[]string { return &o.GroupBy }),
		numberField("threshold", "2", "incidents", 2, 1000,
			"Number of incidents that began within `window` and make an outage.",
			func(o *Outage) *int { return &o.Threshold }),
		labelField("distinct", "namespace",
			"`threshold` counts the values of this label instead; where there is a `cause`, those of the causes.",
			func(o *Outage) *string { return &o.Distinct }),
		durationField("window", "30m", "1s", "24h", "", "Period for `threshold`.",
			func(o *Outage) *time.Duration { return &o.Window }),
		{
			Key: "cause", Unit: "matchers", Bound: fmt.Sprintf("1 to %d of up to %d bytes", maxMatchers, maxMatcherLength),
			Help: "An outage needs an incident that matches, or of which an alert matches: it explains the others.",
			set:  setMatch(func(o *Outage) *labels.Matchers { return &o.Cause }),
		},
		durationField("cooldown", "20m", "0s", "24h", "", "An incident that fires within that time of the end reopens the outage.",
			func(o *Outage) *time.Duration { return &o.Cooldown }),
		durationField("retention", "168h", "0s", "365d", "at least `cooldown`",
			"How long an ended outage is kept in Kubernetes.",
			func(o *Outage) *time.Duration { return &o.Retention }),
		durationField("hold", "0s", "0s", "10m", "", "Delay of the first write, so that a better explanation can come first.",
			func(o *Outage) *time.Duration { return &o.Hold }),
		durationField("flush.min", "1s", "100ms", "1m", "",
			"Minimum interval between two writes of an outage. It doubles while changes continue.",
			func(o *Outage) *time.Duration { return &o.Flush.Min }),
		durationField("flush.max", "15s", "100ms", "10m", "at least `flush.min`", "Maximum of that interval.",
			func(o *Outage) *time.Duration { return &o.Flush.Max }),
		numberField("maxIncidents", "1000", "incidents", 2, 1000, "Maximum number of incidents that are tracked for a group.",
			func(o *Outage) *int { return &o.MaxIncidents }),
		numberField("maxListed", "50", "incidents", 1, 500, "Maximum number of incidents that an outage lists. The counts stay exact.",
			func(o *Outage) *int { return &o.MaxListed }),
	}
}
