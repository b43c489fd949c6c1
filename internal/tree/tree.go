// Package tree draws an incident with its resources, hotspots and what it absorbed.
//
//	Of        what of an incident is drawn, and is the JSON of it (pure)
//	Picture   how it is drawn
package tree

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/human"
)

// Version is that of the JSON of tree. Fields may be added under the same.
const Version = "stormfold.io/tree/v1"

// Forest is the JSON of tree.
type Forest struct {
	APIVersion string     `json:"apiVersion"`
	Incidents  []Incident `json:"incidents"`
}

// Incident is one incident with its resources grouped, and with what it absorbed.
type Incident struct {
	Name         string               `json:"name"`
	Namespace    string               `json:"namespace"`
	Policy       string               `json:"policy"`
	AlertName    string               `json:"alertName"`
	GroupLabels  map[string]string    `json:"groupLabels"`
	Type         v1alpha1.Type        `json:"type"`
	State        v1alpha1.State       `json:"state"`
	Severity     string               `json:"severity"`
	Summary      string               `json:"summary,omitempty"`
	Subject      *v1alpha1.Subject    `json:"subject,omitempty"`
	Alerts       v1alpha1.AlertCounts `json:"alerts"`
	Reopened     int32                `json:"reopened"`
	Truncated    bool                 `json:"truncated"`
	StartedAt    *metav1.Time         `json:"startedAt,omitempty"`
	StormAt      *metav1.Time         `json:"stormAt,omitempty"`
	LastChangeAt *metav1.Time         `json:"lastChangeAt,omitempty"`
	ResolvedAt   *metav1.Time         `json:"resolvedAt,omitempty"`
	CommonLabels map[string]string    `json:"commonLabels"`
	Exemplar     *v1alpha1.Exemplar   `json:"exemplar,omitempty"`
	Hotspots     []v1alpha1.Hotspot   `json:"hotspots"`
	// ResourceCount is how many there are, Resources those that the incident lists.
	ResourceCount int32              `json:"resourceCount"`
	Resources     []InNamespace      `json:"resources"`
	Conditions    []metav1.Condition `json:"conditions"`
	AbsorbedBy    string             `json:"absorbedBy,omitempty"`
	// Absorbed are the incidents that point at this one.
	Absorbed []string `json:"absorbed"`
	// PartOf is the outage that it is part of. An outage has Incidents, Parts and, where one is known, ProbableCause.
	PartOf        string                   `json:"partOf,omitempty"`
	Incidents     *v1alpha1.IncidentCounts `json:"incidents,omitempty"`
	ProbableCause *v1alpha1.ProbableCause  `json:"probableCause,omitempty"`
	Confidence    string                   `json:"confidence,omitempty"`
	Parts         []Part                   `json:"parts,omitempty"`
}

// Part is an incident of an outage. Where it is an outage itself, and known, it has Incidents and Parts of its own.
type Part struct {
	v1alpha1.Part `json:",inline"`
	Incidents     *v1alpha1.IncidentCounts `json:"incidents,omitempty"`
	ProbableCause *v1alpha1.ProbableCause  `json:"probableCause,omitempty"`
	Parts         []Part                   `json:"parts,omitempty"`
}

// InNamespace are resources of one namespace; the empty one is of those that live in none.
type InNamespace struct {
	Namespace string   `json:"namespace"`
	Kinds     []OfKind `json:"kinds"`
}

// OfKind are resources of one kind, firing ones first.
type OfKind struct {
	Kind      string  `json:"kind"`
	Resources []Named `json:"resources"`
}

type Named struct {
	Name   string `json:"name"`
	Firing bool   `json:"firing"`
}

// Of groups the resources of an incident, and finds among all those that it absorbed.
func Of(i v1alpha1.Incident, all []v1alpha1.Incident) Incident {
	st := i.Status
	out := Incident{
		Name: i.Name, Namespace: i.Namespace, Policy: i.Spec.Policy, AlertName: i.Spec.AlertName,
		GroupLabels: i.Spec.GroupLabels,
		Type:        st.Type, State: st.State, Severity: st.Severity, Summary: st.Summary, Subject: st.Subject,
		Alerts: st.Alerts, Reopened: st.Reopened, Truncated: st.Truncated,
		StartedAt: st.StartedAt, StormAt: st.StormAt, LastChangeAt: st.LastChangeAt, ResolvedAt: st.ResolvedAt,
		CommonLabels: st.CommonLabels, Exemplar: st.Exemplar, Hotspots: st.Hotspots, ResourceCount: st.ResourceCount,
		Resources: grouped(st.Resources), Conditions: st.Conditions, AbsorbedBy: st.AbsorbedBy, Absorbed: []string{},
		PartOf: st.PartOf, Incidents: st.Incidents, ProbableCause: st.ProbableCause, Confidence: st.Confidence,
		Parts: parts(i, all, maxDepth),
	}
	for _, other := range all {
		if other.Namespace == i.Namespace && other.Status.AbsorbedBy == i.Name {
			out.Absorbed = append(out.Absorbed, other.Name)
		}
	}
	slices.Sort(out.Absorbed)
	return out
}

// maxDepth is how deep outages are drawn: each is of an earlier policy than the one it is part of, and a file has at
// most so many.
const maxDepth = 20

// parts are the incidents that an outage lists, with those that they list in turn.
func parts(i v1alpha1.Incident, all []v1alpha1.Incident, depth int) []Part {
	var out []Part
	for _, listed := range i.Status.Parts {
		p := Part{Part: listed}
		at := slices.IndexFunc(all, func(o v1alpha1.Incident) bool {
			return o.Name == listed.Name && o.Namespace == listed.Namespace
		})
		if listed.Type == v1alpha1.TypeOutage && at >= 0 && depth > 0 {
			st := all[at].Status
			p.Incidents, p.ProbableCause, p.Parts = st.Incidents, st.ProbableCause, parts(all[at], all, depth-1)
		}
		out = append(out, p)
	}
	return out
}

// grouped are resources by namespace and kind, in the order of their names and firing ones first.
func grouped(resources []v1alpha1.Resource) []InNamespace {
	sorted := slices.SortedFunc(slices.Values(resources), func(a, b v1alpha1.Resource) int {
		return cmp.Or(
			cmp.Compare(
				a.Namespace,
				b.Namespace,
			),
			cmp.Compare(a.Kind, b.Kind),
			human.TrueFirst(a.Firing, b.Firing),
			cmp.Compare(a.Name, b.Name),
		)
	})
	out := []InNamespace{}
	for _, r := range sorted {
		if n := len(out); n == 0 || out[n-1].Namespace != r.Namespace {
			out = append(out, InNamespace{Namespace: r.Namespace})
		}
		in := &out[len(out)-1]
		if n := len(in.Kinds); n == 0 || in.Kinds[n-1].Kind != r.Kind {
			in.Kinds = append(in.Kinds, OfKind{Kind: r.Kind})
		}
		of := &in.Kinds[len(in.Kinds)-1]
		of.Resources = append(of.Resources, Named{r.Name, r.Firing})
	}
	return out
}
