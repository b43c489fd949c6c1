package projector

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/human"
	"github.com/stormfold/stormfold/internal/subject"
)

// known is what the sentences need and the status does not hold.
type known struct {
	// worst is how many alerts have status.severity: of the firing ones, or of all when none fires. 0 is not known.
	worst int
	// atLeast: the counts are lower bounds.
	atLeast bool
}

// knownOf reads it from an object with its members.
func knownOf(o aggregator.Object, severity string) known {
	k := known{atLeast: o.Truncated || o.Beyond > 0}
	for _, m := range o.Members {
		if m.Severity == severity && (m.Firing || o.Firing == 0) {
			k.worst++
		}
	}
	if unknown(o.Members) > 0 {
		k.worst = 0
	}
	return k
}

// describe writes what people read: status.about, status.summary and the messages of the conditions, all from the other
// fields. It is pure, and its times are in UTC.
//
//	summary   = what { ", " detail }
//	what      = [ "at least " ] N " of " M " alerts firing since " TIME                         while it fires
//	          | [ "all " ] M " alerts resolved at " TIME " after " LENGTH                       AllResolved
//	          | M " alerts ended at " TIME " after " LENGTH                                     Quiet
//	          | "closed at " TIME " after " LENGTH " with " N " of " M " alerts firing"         MaxDuration
//	          | M " alerts absorbed by " NAME " at " TIME                                       Absorbed
//	detail    = [ "all " [ "on " ] ] SUBJECT, or "about " R " resources" and the first hotspot
//	          | [ N " " ] SEVERITY
//	          | Q " no longer reported"
//	          | "reopened " N " times"
//
// A lone alert is "1 alert", without "of" and "all". TIME is "12:37 UTC on Nov 25": it has the date, since nothing
// writes the incident again when the day ends.
func describe(st *v1alpha1.IncidentStatus, k known) {
	st.About = about(st)
	parts := []string{what(st, k)}
	parts = append(parts, details(st, k)...)
	st.Summary = strings.Join(parts, ", ")
	for i := range st.Conditions {
		st.Conditions[i].Message = message(st, k, st.Conditions[i])
	}
}

// about is the subject in one word, or what most alerts have in common.
func about(st *v1alpha1.IncidentStatus) string {
	if s := st.Subject; s != nil {
		parts := []string{s.Kind}
		for _, part := range []string{s.Namespace, s.Name} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		return strings.Join(parts, "/")
	}
	if h := hottest(st); h != nil {
		return fmt.Sprintf("%s=%s (%d%%)", h.Label, h.Value, h.Share)
	}
	if st.ResourceCount > 0 {
		return human.Count(int(st.ResourceCount), "resource")
	}
	return ""
}

// hottest is the first hotspot that describes what the alerts are about.
func hottest(st *v1alpha1.IncidentStatus) *v1alpha1.Hotspot {
	for i, h := range st.Hotspots {
		if h.Label != "severity" {
			return &st.Hotspots[i]
		}
	}
	return nil
}

// firing is how many alerts fire, of how many.
func firing(st *v1alpha1.IncidentStatus, k known) string {
	if st.Alerts.Total == 1 {
		return "1 alert"
	}
	out := fmt.Sprintf("%d of %s", st.Alerts.Firing, human.Count(int(st.Alerts.Total), "alert"))
	if k.atLeast {
		out = "at least " + out
	}
	return out
}

// total is how many alerts there are.
func total(st *v1alpha1.IncidentStatus, k known) string {
	out := human.Count(int(st.Alerts.Total), "alert")
	if k.atLeast {
		out = "at least " + out
	}
	return out
}

// what describes the state of the alerts.
func what(st *v1alpha1.IncidentStatus, k known) string {
	if st.State == v1alpha1.StateFiring {
		return firing(st, k) + " firing since " + moment(st.StartedAt)
	}
	end := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionResolved)
	at := moment(&end.LastTransitionTime)
	after := at
	if st.StartedAt != nil {
		after += " after " + human.Duration(max(0, end.LastTransitionTime.Sub(st.StartedAt.Time)))
	}
	switch end.Reason {
	case v1alpha1.ReasonAbsorbed:
		return total(st, k) + " absorbed by " + st.AbsorbedBy + " at " + at
	case v1alpha1.ReasonMaxDuration:
		return "closed at " + after + " with " + firing(st, k) + " firing"
	case v1alpha1.ReasonAllResolved:
		if st.Alerts.Total > 1 && !k.atLeast {
			return "all " + total(st, k) + " resolved at " + after
		}
		return total(st, k) + " resolved at " + after
	default:
		return total(st, k) + " ended at " + after
	}
}

// details are the other parts of the sentence.
func details(st *v1alpha1.IncidentStatus, k known) []string {
	var out []string
	lone := st.Alerts.Total == 1
	switch {
	case st.Subject != nil && lone:
		out = append(out, object(st.Subject))
	case st.Subject != nil && st.Subject.Kind == "Namespace":
		out = append(out, "all in namespace "+st.Subject.Name)
	case st.Subject != nil && st.Subject.Kind == "Node" && st.ResourceCount > 1:
		out = append(out, "all on "+object(st.Subject))
	case st.Subject != nil:
		out = append(out, "all "+object(st.Subject))
	case st.ResourceCount > 0:
		out = append(out, "about "+human.Count(int(st.ResourceCount), "resource"))
		if h := hottest(st); h != nil {
			out = append(out, fmt.Sprintf("%d%% with %s=%s", h.Share, h.Label, h.Value))
		}
	}
	switch {
	case st.Severity == "":
	case lone || k.worst == 0:
		out = append(out, st.Severity)
	default:
		out = append(out, fmt.Sprintf("%d %s", k.worst, st.Severity))
	}
	if st.Alerts.Quiet > 0 {
		out = append(out, fmt.Sprintf("%d no longer reported", st.Alerts.Quiet))
	}
	if st.Reopened > 0 {
		out = append(out, "reopened "+human.Times(int(st.Reopened)))
	}
	return out
}

// object is a subject in a sentence.
func object(s *v1alpha1.Subject) string {
	switch {
	case s.Kind == subject.Cluster:
		return "about the whole cluster"
	case s.Name == "":
		return s.Kind + human.Before(" in ", s.Namespace)
	}
	return s.Kind + "/" + s.Name + human.Before(" in ", s.Namespace)
}

// message is that of a condition.
func message(st *v1alpha1.IncidentStatus, k known, c metav1.Condition) string {
	switch c.Reason {
	case v1alpha1.ReasonBelowThreshold:
		return "1 alert, not a storm"
	case v1alpha1.ReasonThresholdCrossed:
		return fmt.Sprintf("%s; the group crossed its policy's threshold at %s", total(st, k), moment(&c.LastTransitionTime))
	case v1alpha1.ReasonAlertsFiring:
		return firingNow(st, k)
	case v1alpha1.ReasonReopened:
		return fmt.Sprintf("reopened %s within the policy's cooldown; %s", human.Times(int(st.Reopened)), firingNow(st, k))
	case v1alpha1.ReasonAllResolved:
		return "0 of " + total(st, k) + " firing"
	case v1alpha1.ReasonQuiet:
		return fmt.Sprintf(
			"%d of %s not reported for the policy's quiet time, the others resolved",
			st.Alerts.Quiet,
			total(st, k),
		)
	case v1alpha1.ReasonMaxDuration:
		return fmt.Sprintf("closed after the policy's maxDuration with %s firing, which a new incident shows", firing(st, k))
	case v1alpha1.ReasonAbsorbed:
		return total(st, k) + " absorbed by " + st.AbsorbedBy + ", which shows all alerts of the group"
	}
	return ""
}

func firingNow(st *v1alpha1.IncidentStatus, k known) string {
	if st.Alerts.Total == 1 {
		return "1 of 1 alert firing"
	}
	return firing(st, k) + " firing"
}

// moment is a time of day with its date.
func moment(t *metav1.Time) string {
	if t == nil || t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("15:04 UTC on Jan 2")
}
