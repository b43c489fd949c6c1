package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// parseIncidents reads incidents, and lists of them, from documents of YAML or JSON. What else is in there is an error,
// since it is most likely the wrong file.
func parseIncidents(name string, content []byte) ([]v1alpha1.Incident, error) {
	if name == "-" {
		name = "standard input"
	}
	var out []v1alpha1.Incident
	documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var document json.RawMessage
		err := documents.Decode(&document)
		switch {
		case errors.Is(err, io.EOF) && len(out) == 0:
			return nil, fmt.Errorf("%s: there is no incident in it", name)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("%s: it is neither YAML nor JSON: %w", name, err)
		}
		if len(document) == 0 || string(document) == "null" {
			continue
		}
		if out, err = appendIncidents(out, document); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// appendIncidents adds what one document holds.
func appendIncidents(out []v1alpha1.Incident, document json.RawMessage) ([]v1alpha1.Incident, error) {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, errors.New("it holds something that is no object")
	}
	if strings.HasSuffix(head.Kind, "List") {
		for n, item := range head.Items {
			var err error
			if out, err = appendIncidents(out, item); err != nil {
				return nil, fmt.Errorf("items[%d]: %w", n, err)
			}
		}
		return out, nil
	}
	if head.Kind != "Incident" {
		return nil, fmt.Errorf("kind: %q is not Incident", head.Kind)
	}
	var i v1alpha1.Incident
	if err := json.Unmarshal(document, &i); err != nil {
		return nil, fmt.Errorf("it is not an Incident: %w", err)
	}
	return append(out, i), nil
}

// twigOf groups the resources of an incident, and finds among all those that it absorbed.
func twigOf(i v1alpha1.Incident, all []v1alpha1.Incident) twig {
	st := i.Status
	out := twig{
		Name: i.Name, Namespace: i.Namespace, Policy: i.Spec.Policy, AlertName: i.Spec.AlertName,
		GroupLabels: i.Spec.GroupLabels,
		Type:        st.Type, State: st.State, Severity: st.Severity, Alerts: st.Alerts, Reopened: st.Reopened,
		Truncated: st.Truncated,
		StartedAt: st.StartedAt, StormAt: st.StormAt, LastChangeAt: st.LastChangeAt, ResolvedAt: st.ResolvedAt,
		CommonLabels: st.CommonLabels, Exemplar: st.Exemplar, Hotspots: st.Hotspots, ResourceCount: st.ResourceCount,
		Resources: grouped(st.Resources), Conditions: st.Conditions, AbsorbedBy: st.AbsorbedBy, Absorbed: []string{},
	}
	for _, other := range all {
		if other.Namespace == i.Namespace && other.Status.AbsorbedBy == i.Name {
			out.Absorbed = append(out.Absorbed, other.Name)
		}
	}
	slices.Sort(out.Absorbed)
	return out
}

// grouped are resources by namespace and kind, in the order of their names and firing ones first.
func grouped(resources []v1alpha1.Resource) []inNamespace {
	sorted := slices.SortedFunc(slices.Values(resources), func(a, b v1alpha1.Resource) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), first(a.Firing, b.Firing),
			cmp.Compare(a.Name, b.Name))
	})
	out := []inNamespace{}
	for _, r := range sorted {
		if n := len(out); n == 0 || out[n-1].Namespace != r.Namespace {
			out = append(out, inNamespace{Namespace: r.Namespace})
		}
		in := &out[len(out)-1]
		if n := len(in.Kinds); n == 0 || in.Kinds[n-1].Kind != r.Kind {
			in.Kinds = append(in.Kinds, ofKind{Kind: r.Kind})
		}
		of := &in.Kinds[len(in.Kinds)-1]
		of.Resources = append(of.Resources, named{r.Name, r.Firing})
	}
	return out
}

// first puts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
