package tree

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/human"
)

// barWidth is the width of a share of 100 %, in characters.
const barWidth = 20

// Picture draws incidents.
type Picture struct {
	Color bool
	Now   time.Time
	// Most is how many resources of a kind are shown, 0 for all.
	Most int
	// Wide shows all that there is, and Namespaces the namespace of each incident.
	Wide, Namespaces bool
}

// branch is a line of the picture with what hangs from it.
type branch struct {
	text string
	subs []branch
}

// The colours, as terminals know them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	dim    = "2"
)

func (p Picture) paint(color, text string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// Draw draws one incident.
func (p Picture) Draw(w io.Writer, t Incident) {
	state := map[v1alpha1.State]string{v1alpha1.StateFiring: red, v1alpha1.StateResolved: green}[t.State]
	name := t.Name
	if (p.Wide || p.Namespaces) && t.Namespace != "" {
		name = t.Namespace + "/" + name
	}
	fmt.Fprintf(w, "%s  %s  %s%s", p.paint(bold, name), t.Type, p.paint(cmp.Or(state, dim), string(t.State)),
		human.Before("  ", t.Severity))
	if t.Summary == "" {
		fmt.Fprintf(w, "  %d of %s firing", t.Alerts.Firing, human.Count(int(t.Alerts.Total), "alert"))
	}
	fmt.Fprintln(w)
	hang(w, "", p.branches(t))
}

// branches are the parts of an incident, those that have something to say.
func (p Picture) branches(t Incident) []branch {
	var out []branch
	if t.Summary != "" {
		out = append(out, branch{text: t.Summary})
	}
	out = append(out,
		branch{text: "policy " + t.Policy + human.Before(": ", human.Labels(t.GroupLabels))},
		branch{text: p.times(t)},
	)
	if t.AbsorbedBy != "" {
		out = append(out, branch{text: "absorbed by " + t.AbsorbedBy})
	}
	if t.PartOf != "" {
		out = append(out, branch{text: "part of " + t.PartOf})
	}
	if t.Incidents != nil {
		out = append(out, p.parts(t))
	}
	if e := t.Exemplar; e != nil {
		for _, line := range []string{e.Summary, e.Description, e.Runbook} {
			if line != "" {
				out = append(out, branch{text: strings.Join(strings.Fields(line), " ")})
			}
		}
	}
	common := branch{text: "common labels"}
	for _, name := range slices.Sorted(maps.Keys(t.CommonLabels)) {
		common.subs = append(common.subs, branch{text: name + "=" + t.CommonLabels[name]})
	}
	hot := branch{text: "hotspots", subs: p.hotspots(t)}
	conditions := branch{text: "conditions"}
	for _, c := range t.Conditions {
		text := fmt.Sprintf("%-8s  %-5s  %s", c.Type, c.Status, c.Reason)
		if p.Wide {
			text += " since " + human.Time(c.LastTransitionTime.Time) + human.Before(": ", c.Message)
		}
		conditions.subs = append(conditions.subs, branch{text: text})
	}
	absorbed := branch{text: fmt.Sprintf("absorbed %s", human.Count(len(t.Absorbed), "incident"))}
	for _, name := range t.Absorbed {
		absorbed.subs = append(absorbed.subs, branch{text: name})
	}
	for _, b := range []branch{common, hot, p.resources(t), conditions, absorbed} {
		if len(b.subs) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// parts are the incidents of an outage, the cause first.
func (p Picture) parts(t Incident) branch {
	out := branch{text: human.Count(int(t.Incidents.Total), "incident")}
	if t.Confidence != "" {
		out.text += ", confidence " + t.Confidence
	}
	out.subs = p.listed(t.Parts, t.ProbableCause, t.Incidents)
	return out
}

// listed are parts with what hangs from them, and how many more there are.
func (p Picture) listed(parts []Part, cause *v1alpha1.ProbableCause, all *v1alpha1.IncidentCounts) []branch {
	var out []branch
	for n, part := range parts {
		if p.Most > 0 && !p.Wide && n == p.Most {
			break
		}
		mark := p.paint(green, "○")
		if part.Firing {
			mark = p.paint(red, "●")
		}
		text := fmt.Sprintf("%s %s  %s%s  %s", mark, part.Name, part.About, human.Before("  ", part.Severity),
			human.Count(int(part.Alerts), "alert"))
		if cause != nil && cause.Incident == part.Name {
			text += ", probable cause"
		}
		out = append(out, branch{text: text, subs: p.listed(part.Parts, part.ProbableCause, part.Incidents)})
	}
	if all == nil {
		return out
	}
	if more := int(all.Total) - len(out); more > 0 {
		out = append(out, branch{text: fmt.Sprintf("and %d more", more)})
	}
	return out
}

// times says since when, and until when.
func (p Picture) times(t Incident) string {
	var parts []string
	add := func(name string, at *metav1.Time) {
		if at != nil {
			parts = append(parts, name+" "+human.Time(at.Time))
		}
	}
	add("started", t.StartedAt)
	if t.State == v1alpha1.StateFiring && t.StartedAt != nil {
		parts[0] += " (" + human.Duration(p.Now.Sub(t.StartedAt.Time)) + " ago)"
	}
	add("storm", t.StormAt)
	add("last change", t.LastChangeAt)
	add("resolved", t.ResolvedAt)
	out := strings.Join(parts, ", ") + " UTC"
	if t.Reopened > 0 {
		out += ", reopened " + human.Times(int(t.Reopened))
	}
	return out
}

// hotspots are the label values with bars of their shares, side by side.
func (p Picture) hotspots(t Incident) []branch {
	counted := "alert"
	if t.Incidents != nil {
		counted = "incident"
	}
	width := 0
	for _, h := range t.Hotspots {
		width = max(width, len([]rune(h.Label+"="+h.Value)))
	}
	var out []branch
	for _, h := range t.Hotspots {
		full := min(int(h.Share)*barWidth/100, barWidth)
		bar := p.paint(yellow, strings.Repeat("█", full)) + p.paint(dim, strings.Repeat("░", barWidth-full))
		text := fmt.Sprintf("%-*s  %s %3d %%  %s", width, h.Label+"="+h.Value, bar, h.Share,
			human.Count(int(h.Alerts), counted))
		out = append(out, branch{text: text})
	}
	return out
}

// resources are those of an incident by namespace and kind.
func (p Picture) resources(t Incident) branch {
	listed := 0
	out := branch{}
	for _, in := range t.Resources {
		namespace := branch{text: cmp.Or(in.Namespace, "(no namespace)")}
		for _, of := range in.Kinds {
			listed += len(of.Resources)
			namespace.subs = append(namespace.subs, p.kind(of))
		}
		out.subs = append(out.subs, namespace)
	}
	out.text = human.Count(int(t.ResourceCount), "resource")
	if listed < int(t.ResourceCount) {
		out.text += fmt.Sprintf(", of which %d are listed", listed)
	}
	return out
}

// kind are the resources of one kind, the firing ones marked.
func (p Picture) kind(of OfKind) branch {
	firing := 0
	var subs []branch
	for n, r := range of.Resources {
		mark := p.paint(green, "○")
		if r.Firing {
			mark = p.paint(red, "●")
			firing++
		}
		if p.Most == 0 || p.Wide || n < p.Most {
			subs = append(subs, branch{text: mark + " " + r.Name})
		}
	}
	if more := len(of.Resources) - len(subs); more > 0 {
		subs = append(subs, branch{text: fmt.Sprintf("and %d more", more)})
	}
	return branch{text: fmt.Sprintf("%s, %d of %d firing", of.Kind, firing, len(of.Resources)), subs: subs}
}

// hang writes branches, each behind the lines that lead to it.
func hang(w io.Writer, lead string, branches []branch) {
	for i, b := range branches {
		knot, below := "├─ ", "│  "
		if i == len(branches)-1 {
			knot, below = "└─ ", "   "
		}
		fmt.Fprintf(w, "%s%s%s\n", lead, knot, b.text)
		hang(w, lead+below, b.subs)
	}
}
