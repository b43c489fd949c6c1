package projector

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/human"
	"github.com/stormfold/stormfold/internal/subject"
)

// maxObject is the most that an incident's JSON may be, in bytes. Lists are shortened until it fits; the counts stay.
const maxObject = 256 << 10

// objectOverhead is kept free of maxObject for what the server adds: metadata and managed fields.
const objectOverhead = 8 << 10

// maxHotspots is how many of the most frequent label values an incident shows.
const maxHotspots = 10

// Render makes the incident of an object of a snapshot. It is pure: the same snapshot always gives the same incident,
// in any order of its members.
func Render(s *aggregator.Snapshot, o aggregator.Object) *v1alpha1.Incident {
	alertName := cmp.Or(s.Labels["alertname"], o.Facts.Labels["alertname"])
	incident := &v1alpha1.Incident{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Incident"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Namespace: o.Namespace, ResourceVersion: o.ResourceVersion,
			Labels: objectLabels(s, o.Fingerprint, alertName, o.Facts.Namespace()),
		},
		Spec: v1alpha1.IncidentSpec{Policy: s.Policy, AlertName: alertName, GroupLabels: s.Labels},
	}
	members := o.Members
	st := &incident.Status
	st.PartOf, st.Labels = o.PartOf, o.Labels
	st.State, st.Type = v1alpha1.StateFiring, v1alpha1.TypeAlert
	switch o.State {
	case aggregator.StateResolved:
		st.State = v1alpha1.StateResolved
		st.ResolvedAt = at(o.EndedAt)
	case aggregator.StateAbsorbed:
		st.State = v1alpha1.StateAbsorbed
		st.AbsorbedBy = o.AbsorbedBy
	}
	if isStorm(o) {
		st.Type = v1alpha1.TypeStorm
		st.StormAt = at(o.StormAt)
		st.Hotspots = hotspots(s, o)
	}
	if o.Outage != nil {
		renderOutage(s, o, incident)
		return incident
	}
	total := o.Total + o.Beyond
	st.Alerts = v1alpha1.AlertCounts{
		Total: int32(total), Firing: int32(o.Firing), Resolved: int32(o.Total - o.Firing), Quiet: int32(quiet(o)),
	}
	st.Severity = severity(members, s.Severities.Rank)
	st.Subject = subjectOf(s, members, ofGroup(s))
	st.StartedAt = at(started(members, o.OpenedAt))
	st.LastChangeAt = at(o.ChangedAt)
	st.Reopened = int32(o.Reopened)
	st.Truncated = o.Truncated
	st.CommonLabels = o.CommonLabels
	st.Exemplar = exemplar(o.Facts)
	st.ObservedRevision = o.Revision
	st.Upkeep = upkeep(members)
	st.Conditions = conditions(o)
	all := resources(members)
	st.ResourceCount = int32(len(all))
	st.Resources = all[:min(len(all), s.MaxListed, v1alpha1.MaxResources)]
	st.Truncated = st.Truncated || len(st.Resources) < len(all)
	describe(st, knownOf(o, st.Severity))
	fit(incident)
	return incident
}

// isStorm reports whether an object is shown as a storm. With a threshold of 1 the object of a group has all alerts,
// and is a storm from the second alert on.
func isStorm(o aggregator.Object) bool {
	return o.Storm && (o.Total+o.Beyond > 1 || !o.StormAt.IsZero())
}

// quiet counts the alerts that ended because they were not reported.
func quiet(o aggregator.Object) int {
	over := o.Total - o.Firing
	if !o.Storm && o.Reason == v1alpha1.ReasonQuiet {
		return over
	}
	n := 0
	for _, m := range o.Members {
		if m.Quiet {
			n++
		}
	}
	return max(0, min(n, over))
}

// at is a time as Kubernetes keeps it, in seconds; nil for the zero time.
func at(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}

// severity is the highest among the firing alerts, or among all when none fires.
func severity(members []aggregator.Member, rank func(string) int) string {
	highest := func(firing bool) string {
		best := ""
		for _, m := range members {
			if m.Firing != firing || m.Severity == best {
				continue
			}
			a, b := rank(m.Severity), rank(best)
			if best == "" || a > b || a == b && m.Severity < best {
				best = m.Severity
			}
		}
		return best
	}
	return cmp.Or(highest(true), highest(false))
}

// started is the earliest start of an alert.
func started(members []aggregator.Member, fallback time.Time) time.Time {
	var first time.Time
	for _, m := range members {
		if m.StartsAt.Unix() > 0 && (first.IsZero() || m.StartsAt.Before(first)) {
			first = m.StartsAt
		}
	}
	return cmp.Or(first, fallback)
}

// resources are the affected ones, each once, firing ones first.
func resources(members []aggregator.Member) []v1alpha1.Resource {
	index := map[subject.Resource]int{}
	var out []v1alpha1.Resource
	for _, m := range members {
		if m.Resource.Kind == "" {
			continue
		}
		i, seen := index[m.Resource]
		if !seen {
			i = len(out)
			index[m.Resource] = i
			out = append(out, v1alpha1.Resource{Kind: m.Resource.Kind, Namespace: m.Resource.Namespace, Name: m.Resource.Name})
		}
		out[i].Firing = out[i].Firing || m.Firing
	}
	slices.SortFunc(out, compareResources)
	return out
}

// compareResources puts firing ones first, and orders the others by what they are. It compares no more than it has to:
// a storm has thousands.
func compareResources(a, b v1alpha1.Resource) int {
	switch {
	case a.Firing != b.Firing:
		return human.TrueFirst(a.Firing, b.Firing)
	case a.Kind != b.Kind:
		return cmp.Compare(a.Kind, b.Kind)
	case a.Namespace != b.Namespace:
		return cmp.Compare(a.Namespace, b.Namespace)
	}
	return cmp.Compare(a.Name, b.Name)
}

// hotspots are the values of the policy's breakdown labels that most alerts have, but for those that all alerts share.
func hotspots(s *aggregator.Snapshot, o aggregator.Object) []v1alpha1.Hotspot {
	counts := map[aggregator.Label]int{}
	count := func(name, value string) {
		if _, shared := s.Labels[name]; !shared && value != "" && slices.Contains(s.Breakdown, name) {
			counts[aggregator.Label{Name: name, Value: value}]++
		}
	}
	for _, m := range o.Members {
		count("severity", m.Severity)
		count("namespace", m.Resource.InNamespace())
		count("workload", m.Workload())
		for _, l := range m.Breakdown {
			if l.Name != "workload" {
				count(l.Name, l.Value)
			}
		}
	}
	out := make([]v1alpha1.Hotspot, 0, len(counts))
	for l, n := range counts {
		if n > 1 && o.CommonLabels[l.Name] != l.Value {
			out = append(
				out,
				v1alpha1.Hotspot{Label: l.Name, Value: l.Value, Alerts: int32(n), Share: percent(n, len(o.Members))},
			)
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.Hotspot) int {
		return cmp.Or(cmp.Compare(b.Alerts, a.Alerts), cmp.Compare(a.Label, b.Label), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(len(out), maxHotspots)]
}

// percent is a rounded share. It is 100 only for all.
func percent(part, all int) int32 {
	if part >= all {
		return 100
	}
	return int32(min(99, (200*part+all)/(2*all)))
}

// exemplar has the annotations of the first alert.
func exemplar(f aggregator.Facts) *v1alpha1.Exemplar {
	e := v1alpha1.Exemplar{
		Summary:      f.Annotations["summary"],
		Description:  cmp.Or(f.Annotations["description"], f.Annotations["message"]),
		Runbook:      cmp.Or(f.Annotations["runbook_url"], f.Annotations["runbook"]),
		GeneratorURL: f.GeneratorURL,
	}
	if e == (v1alpha1.Exemplar{}) {
		return nil
	}
	return &e
}

// conditions are Storm and Resolved, with the reasons that the API documents, without their messages.
func conditions(o aggregator.Object) []metav1.Condition {
	storm := metav1.Condition{
		Type: v1alpha1.ConditionStorm, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonBelowThreshold,
		LastTransitionTime: *at(o.OpenedAt),
	}
	if isStorm(o) {
		storm.Status, storm.Reason = metav1.ConditionTrue, v1alpha1.ReasonThresholdCrossed
		storm.LastTransitionTime = *at(cmp.Or(o.StormAt, o.OpenedAt))
	}
	resolved := metav1.Condition{
		Type: v1alpha1.ConditionResolved, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAlertsFiring,
		LastTransitionTime: *at(o.OpenedAt),
	}
	switch {
	case o.State == aggregator.StateAbsorbed:
		resolved.Status, resolved.Reason = metav1.ConditionTrue, v1alpha1.ReasonAbsorbed
		resolved.LastTransitionTime = *at(o.EndedAt)
	case o.State == aggregator.StateResolved:
		resolved.Status, resolved.Reason = metav1.ConditionTrue, o.Reason
		resolved.LastTransitionTime = *at(o.EndedAt)
	case o.Reopened > 0:
		resolved.Reason, resolved.LastTransitionTime = v1alpha1.ReasonReopened, *at(cmp.Or(o.ReopenedAt, o.OpenedAt))
	}
	return []metav1.Condition{resolved, storm}
}

// fit shortens the lists until the object is within maxObject.
func fit(incident *v1alpha1.Incident) {
	for {
		raw, err := json.Marshal(incident)
		if err != nil || len(raw) <= maxObject-objectOverhead {
			return
		}
		st := &incident.Status
		st.Truncated = true
		switch {
		case len(st.Parts) > 1:
			st.Parts = st.Parts[:len(st.Parts)/2]
		case len(st.Resources) > 1:
			st.Resources = st.Resources[:len(st.Resources)/2]
		case len(st.CommonLabels) > 0:
			st.CommonLabels = nil
		default:
			parts, err := PartsOf(incident)
			if err != nil || len(parts) < 2 {
				return
			}
			st.Upkeep.Parts = packParts(parts[:len(parts)/2])
		}
	}
}
