package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
)

// explainIncidentVersion is that of the JSON of explain for an incident. Fields may be added under the same.
const explainIncidentVersion = "stormfold.io/explain-incident/v1"

// explainedIncident is the JSON of explain for an incident.
type explainedIncident struct {
	APIVersion string        `json:"apiVersion"`
	Incident   incidentFacts `json:"incident"`
	// PartOf is the outage that it is part of, and what that is part of in turn.
	PartOf []incidentFacts `json:"partOf"`
	// LookedAt is how many incidents were looked at.
	LookedAt int `json:"lookedAt"`
	// Outages has an entry for each outage policy.
	Outages []judged `json:"outages"`
	Notes   []string `json:"notes"`
}

// incidentFacts are what explain says of an incident.
type incidentFacts struct {
	Name      string                   `json:"name"`
	Namespace string                   `json:"namespace"`
	Type      v1alpha1.Type            `json:"type"`
	State     v1alpha1.State           `json:"state"`
	StartedAt *metav1.Time             `json:"startedAt,omitempty"`
	Labels    map[string]string        `json:"labels"`
	Incidents *v1alpha1.IncidentCounts `json:"incidents,omitempty"`
}

// isName tells whether an argument is the name of an incident, and not a label.
func isName(arg string) bool { return arg != "-" && !strings.Contains(arg, "=") }

// incident explains one incident by what the cluster or a file holds.
func (o *explainOptions) incident(
	ctx context.Context, s streams, name, source string, policies config.Policies,
) error {
	all, where, err := o.readIncidents(ctx, s)
	if err != nil {
		return err
	}
	out, err := explainIncident(policies, source, all, name, where)
	if err != nil {
		return err
	}
	return s.print(o.output.format, out, out.draw)
}

// readIncidents returns all incidents of the file or of the cluster, and where they are.
func (o *explainOptions) readIncidents(ctx context.Context, s streams) ([]v1alpha1.Incident, string, error) {
	if o.file != "" {
		content, err := readInput(s, o.file)
		if err != nil {
			return nil, "", err
		}
		all, err := parseIncidents(o.file, content)
		return all, o.file, err
	}
	k, err := o.kube.connect()
	if err != nil {
		return nil, "", err
	}
	where := "namespace " + k.namespace
	if k.namespace == metav1.NamespaceAll {
		where = "any namespace"
	}
	all, err := k.list(ctx, metav1.ListOptions{})
	return all, where, err
}

// explainIncident tells what incidents and policies alone tell.
func explainIncident(
	policies config.Policies, source string, all []v1alpha1.Incident, name, where string,
) (*explainedIncident, error) {
	c, notes := newCourt(policies.Outages, all)
	i := c.find(name)
	if i == nil {
		return nil, fmt.Errorf("there is no incident %s in %s", name, where)
	}
	out := &explainedIncident{
		APIVersion: explainIncidentVersion, Incident: factsOf(i), PartOf: []incidentFacts{}, LookedAt: len(all),
		Outages: c.judge(i), Notes: append([]string{}, notes...),
	}
	for of := i; of.Status.PartOf != ""; {
		outage := c.find(of.Status.PartOf)
		if outage == nil {
			out.note("Outage %s, which %s is part of, is not in %s.", of.Status.PartOf, of.Name, where)
			break
		}
		if c.rank(outage.Spec.Policy) < 0 {
			out.note("Outage %s is of policy %s, which is not among the %s policies: give those of the function with "+
				"--policies.", outage.Name, outage.Spec.Policy, source)
		}
		out.PartOf = append(out.PartOf, factsOf(outage))
		if of = outage; len(out.PartOf) > len(policies.Outages) { // Somebody made a circle.
			break
		}
	}
	if len(policies.Outages) == 0 {
		out.note("There are no outage policies.")
	} else if len(i.Status.Labels) == 0 {
		out.note("The incident has no status.labels: it was last written without outage policies.")
	}
	return out, nil
}

func factsOf(i *v1alpha1.Incident) incidentFacts {
	return incidentFacts{
		Name: i.Name, Namespace: i.Namespace, Type: i.Status.Type, State: i.Status.State, StartedAt: i.Status.StartedAt,
		Labels: i.Status.Labels, Incidents: i.Status.Incidents,
	}
}

func (e *explainedIncident) note(format string, args ...any) {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}

// draw writes it for people.
func (e *explainedIncident) draw(w io.Writer) {
	rows := []string{"Incident", e.Incident.String(), "Labels", pairs(e.Incident.Labels)}
	for _, outage := range e.PartOf {
		rows = append(rows, "Part of", outage.String())
	}
	fields(w, rows...)
	fmt.Fprintln(w, "\nOutage policies")
	for _, j := range e.Outages {
		fmt.Fprintf(w, "  %s: %s\n", j.Policy, j.Sentence)
	}
	if len(e.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range e.Notes {
		fmt.Fprintln(w, note)
	}
}

// String is an incident in a line.
func (f incidentFacts) String() string {
	out := fmt.Sprintf("%s, %s, %s, started %s", f.Name, f.Type, f.State, clock(since(f.StartedAt)))
	if f.Incidents != nil {
		out += fmt.Sprintf(", %d of %s firing", f.Incidents.Firing, count(int(f.Incidents.Total), "incident"))
	}
	return out
}
