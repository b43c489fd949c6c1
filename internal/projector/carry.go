package projector

import (
	"slices"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// unknown counts members of which only the fingerprint is known: those that were read from status.upkeep and have not
// been reported since.
func unknown(members []aggregator.Member) int {
	n := 0
	for _, m := range members {
		if m.Resource.Kind == "" {
			n++
		}
	}
	return n
}

// carry keeps in want what the object in Kubernetes knows of alerts of which Redis has only the fingerprints, or that
// have left an ended storm for a new incident. After all have been reported again, nothing is carried.
func carry(want, have *v1alpha1.Incident, s *aggregator.Snapshot, o aggregator.Object) {
	rank := s.Severities.Rank
	st, old := &want.Status, have.Status
	if st.State != v1alpha1.StateFiring && len(old.Upkeep.Members) > len(st.Upkeep.Members) {
		st.Upkeep, st.Severity, st.StartedAt, st.Subject = old.Upkeep, old.Severity, old.StartedAt, old.Subject
		st.Resources, st.ResourceCount, st.Hotspots = old.Resources, old.ResourceCount, old.Hotspots
		st.Upkeep.Firing = 0 // It is over, whatever a late writer has left there.
		if listed, err := MembersOf(have); err == nil && len(listed) > int(st.Alerts.Total) {
			st.Alerts.Total, st.Alerts.Resolved = int32(len(listed)), int32(len(listed))
		}
		describe(st, known{atLeast: knownOf(o, st.Severity).atLeast})
		fit(want)
		return
	}
	key := func(r v1alpha1.Resource) v1alpha1.Resource { r.Firing = false; return r }
	for _, r := range old.Resources {
		known := slices.ContainsFunc(st.Resources, func(o v1alpha1.Resource) bool { return key(o) == key(r) })
		if !known && len(st.Resources) < v1alpha1.MaxResources {
			r.Firing = r.Firing && st.Alerts.Firing > 0
			st.Resources = append(st.Resources, r)
		}
	}
	slices.SortFunc(st.Resources, compareResources)
	st.ResourceCount = max(st.ResourceCount, old.ResourceCount, int32(len(st.Resources)))
	st.Alerts.Quiet = min(max(st.Alerts.Quiet, old.Alerts.Quiet), st.Alerts.Resolved)
	if rank(old.Severity) > rank(st.Severity) {
		st.Severity = old.Severity
	}
	if len(old.Hotspots) > len(st.Hotspots) {
		st.Hotspots = old.Hotspots
	}
	if st.StartedAt == nil || old.StartedAt != nil && old.StartedAt.Before(st.StartedAt) {
		st.StartedAt = old.StartedAt
	}
	if st.Exemplar == nil {
		st.Exemplar = old.Exemplar
	}
	if old.Subject != nil {
		st.Subject = subjectOf(s, o.Members, subject.Of(subject.Resource(*old.Subject)))
	}
	describe(st, knownOf(o, st.Severity))
	fit(want)
}
