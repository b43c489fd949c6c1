package projector

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/human"
	"github.com/stormfold/stormfold/internal/subject"
)

// maxUpkeep bounds the JSON that PartsOf unpacks, in bytes.
const maxUpkeep = 8 << 20

// renderOutage fills in what the object of an outage shows.
func renderOutage(s *aggregator.Snapshot, o aggregator.Object, incident *v1alpha1.Incident) {
	st := &incident.Status
	st.Type = v1alpha1.TypeOutage
	st.Evidence, st.Confidence = string(o.Outage.Evidence), "high"
	if o.Outage.Evidence == aggregator.EvidenceTime {
		st.Confidence = "low"
	}
	st.Incidents = &v1alpha1.IncidentCounts{Total: int32(o.Total), Firing: int32(o.Firing)}
	parts := ranked(o.Outage, s.Severities.Rank)
	var first time.Time
	var cause subject.Resource
	for _, p := range parts {
		st.Alerts.Total += int32(p.Alerts)
		st.Alerts.Firing += int32(p.AlertsFiring)
		if first.IsZero() || p.StartsAt.Before(first) {
			first = p.StartsAt
		}
		if p.Name == o.Outage.Cause {
			st.ProbableCause = &v1alpha1.ProbableCause{
				Incident: p.Name, Policy: o.Outage.Policy, About: resourceName(p.Subject),
			}
			cause = p.Subject
		}
	}
	st.Alerts.Resolved = st.Alerts.Total - st.Alerts.Firing
	if about := aggregator.OutageSubject(s.Labels, cause); about.Kind != "" {
		st.Subject = (*v1alpha1.Subject)(&about)
	}
	st.Severity = o.Labels["severity"]
	if len(parts) > 0 {
		st.Severity = worst(parts, s.Severities.Rank)
	}
	st.StartedAt = at(cmp.Or(first, o.OpenedAt))
	st.LastChangeAt = at(o.ChangedAt)
	st.Reopened, st.Truncated, st.ObservedRevision = int32(o.Reopened), o.Truncated, o.Revision
	st.Hotspots = outageHotspots(s, parts)
	for _, p := range parts[:min(len(parts), s.MaxListed, v1alpha1.MaxParts)] {
		st.Parts = append(st.Parts, v1alpha1.Part{
			Name: p.Name, Namespace: p.Namespace, Type: v1alpha1.Type(p.Type), Firing: p.Firing, Severity: p.Severity,
			About: cmp.Or(resourceName(p.Subject), p.AlertName), Alerts: int32(p.Alerts), StartedAt: at(p.StartsAt),
		})
	}
	st.Truncated = st.Truncated || len(st.Parts) < len(parts)
	st.Upkeep.Parts = packParts(o.Outage.Members)
	st.Conditions = conditions(o)[:1]
	describeOutage(s, o, st)
	fit(incident)
}

// ranked are the parts that matter most first: the cause, firing ones, by severity, by firing alerts, by start.
func ranked(o *aggregator.Outage, rank func(string) int) []aggregator.Part {
	parts := slices.Clone(o.Members)
	slices.SortFunc(parts, func(a, b aggregator.Part) int {
		return cmp.Or(
			human.TrueFirst(a.Name == o.Cause, b.Name == o.Cause), human.TrueFirst(a.Firing, b.Firing),
			cmp.Compare(rank(b.Severity), rank(a.Severity)), cmp.Compare(b.AlertsFiring, a.AlertsFiring),
			a.StartsAt.Compare(b.StartsAt), strings.Compare(a.Name, b.Name),
		)
	})
	return parts
}

// worst is the highest severity among the firing parts, or among all.
func worst(parts []aggregator.Part, rank func(string) int) string {
	best := slices.MaxFunc(parts, func(a, b aggregator.Part) int {
		return cmp.Or(human.TrueFirst(b.Firing, a.Firing), cmp.Compare(rank(a.Severity), rank(b.Severity)))
	})
	return best.Severity
}

// outageHotspots are the values of these labels that most incidents have, but for those that all share.
func outageHotspots(s *aggregator.Snapshot, parts []aggregator.Part) []v1alpha1.Hotspot {
	counts := map[aggregator.Label]int{}
	for _, p := range parts {
		for _, name := range []string{"namespace", "node", "zone"} {
			if value := p.Labels[name]; value != "" && s.Labels[name] == "" {
				counts[aggregator.Label{Name: name, Value: value}]++
			}
		}
		if p.AlertName != "" {
			counts[aggregator.Label{Name: "alertname", Value: p.AlertName}]++
		}
	}
	var out []v1alpha1.Hotspot
	for l, n := range counts {
		if n > 1 && n < len(parts) {
			out = append(out, v1alpha1.Hotspot{Label: l.Name, Value: l.Value, Alerts: int32(n), Share: percent(n, len(parts))})
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.Hotspot) int {
		return cmp.Or(cmp.Compare(b.Alerts, a.Alerts), cmp.Compare(a.Label, b.Label), cmp.Compare(a.Value, b.Value))
	})
	return out[:min(len(out), maxHotspots)]
}

// describeOutage writes what people read of an outage.
//
//	summary = [ N " of " ] M " incidents firing since " TIME     while it fires
//	        | M " incidents resolved at " TIME " after " LENGTH  when it is over
//	        | M " incidents, now part of " NAME                  absorbed
//	          ", probably " CAUSE | ", no cause known"
//	          | ", cause not known (they began at the same time)"      of low confidence
//	          ", " A " alerts in " K " namespaces" ", " SEVERITY
func describeOutage(s *aggregator.Snapshot, o aggregator.Object, st *v1alpha1.IncidentStatus) {
	all := human.Count(o.Total, "incident")
	end := st.Conditions[0]
	var text string
	switch {
	case st.State == v1alpha1.StateFiring:
		text = fmt.Sprintf("%d of %s firing since %s", o.Firing, all, moment(st.StartedAt))
		st.Conditions[0].Message = fmt.Sprintf("%d of %s firing", o.Firing, all)
	case st.State == v1alpha1.StateAbsorbed:
		text = all + ", now part of " + st.AbsorbedBy
		st.Conditions[0].Message = "its incidents are part of " + st.AbsorbedBy
	case o.Reason == v1alpha1.ReasonBelowThreshold:
		text = "no longer an outage since " + moment(&end.LastTransitionTime)
		st.Conditions[0].Message = "too few incidents are left, or none of them is a cause"
	default:
		after := human.Duration(max(0, end.LastTransitionTime.Sub(st.StartedAt.Time)))
		text = all + " resolved at " + moment(&end.LastTransitionTime) + " after " + after
		st.Conditions[0].Message = "0 of " + all + " firing"
	}
	st.About = about(st)
	if o.Total == 0 { // Its incidents are part of others.
		st.About, st.Summary = "", strings.TrimPrefix(text, "0 incidents, ")
		return
	}
	switch {
	case st.Confidence == "low":
		text += ", cause not known (they began at the same time)"
	case st.Subject != nil:
		text += ", probably " + st.About
	case st.ProbableCause != nil:
		text += ", probably " + st.ProbableCause.Incident
	default:
		text += ", no cause known"
	}
	namespaces := map[string]bool{}
	for _, p := range o.Outage.Members {
		if ns := p.Labels[subject.LabelNamespace]; ns != "" {
			namespaces[ns] = true
		}
	}
	text += ", " + human.Count(int(st.Alerts.Total), "alert")
	if len(namespaces) > 0 {
		text += " in " + human.Count(len(namespaces), "namespace")
	}
	if st.Severity != "" {
		text += ", " + st.Severity
	}
	if st.About == "" {
		st.About = all
	}
	st.Summary = text
}

// resourceName is a resource as Kind/namespace/name, empty for none.
func resourceName(r subject.Resource) string {
	out := r.Kind
	for _, part := range []string{r.Namespace, r.Name} {
		if part != "" {
			out += "/" + part
		}
	}
	return out
}

// packParts is the list of an outage's incidents as status.upkeep.parts holds it: the cause first, then firing ones, as
// many as PartsOf unpacks. An import gets the others from their own objects.
func packParts(parts []aggregator.Part) string {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b aggregator.Part) int {
		return cmp.Or(human.TrueFirst(a.Cause, b.Cause), human.TrueFirst(a.Firing, b.Firing), strings.Compare(a.Name, b.Name))
	})
	var list []json.RawMessage
	size := 2
	for i := range parts {
		raw, err := json.Marshal(&parts[i])
		if err != nil {
			continue // Strings, numbers and times can always be encoded.
		}
		if size += len(raw) + 1; size > maxUpkeep {
			break
		}
		list = append(list, raw)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return ""
	}
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.DefaultCompression) // The level is a valid one.
	_, _ = w.Write(raw)
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// PartsOf are the incidents of an outage, from its object.
func PartsOf(i *v1alpha1.Incident) ([]aggregator.Part, error) {
	packed, err := base64.StdEncoding.DecodeString(i.Status.Upkeep.Parts)
	if err != nil {
		return nil, fmt.Errorf("status.upkeep.parts: %w", err)
	}
	if len(packed) == 0 {
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUpkeep))
	if err != nil {
		return nil, fmt.Errorf("status.upkeep.parts: %w", err)
	}
	var parts []aggregator.Part
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, fmt.Errorf("status.upkeep.parts: %w", err)
	}
	if slices.ContainsFunc(parts, func(p aggregator.Part) bool { return p.Name == "" }) {
		return nil, errors.New("status.upkeep.parts: an incident has no name")
	}
	return parts, nil
}
