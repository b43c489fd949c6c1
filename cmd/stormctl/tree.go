package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// treeVersion is that of the JSON of tree. Fields may be added under the same.
const treeVersion = "stormfold.io/tree/v1"

// treeOptions are the flags of tree.
type treeOptions struct {
	kube      kubeFlags
	file      string
	output    string
	resources int
}

// forest is the JSON of tree.
type forest struct {
	APIVersion string `json:"apiVersion"`
	Incidents  []twig `json:"incidents"`
}

// twig is one incident with its resources grouped, and with what it absorbed.
type twig struct {
	Name         string               `json:"name"`
	Namespace    string               `json:"namespace"`
	Policy       string               `json:"policy"`
	AlertName    string               `json:"alertName"`
	GroupLabels  map[string]string    `json:"groupLabels"`
	Type         v1alpha1.Type        `json:"type"`
	State        v1alpha1.State       `json:"state"`
	Severity     string               `json:"severity"`
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
	Resources     []inNamespace      `json:"resources"`
	Conditions    []metav1.Condition `json:"conditions"`
	AbsorbedBy    string             `json:"absorbedBy,omitempty"`
	// Absorbed are the incidents that point at this one.
	Absorbed []string `json:"absorbed"`
}

// inNamespace are resources of one namespace; the empty one is of those that live in none.
type inNamespace struct {
	Namespace string   `json:"namespace"`
	Kinds     []ofKind `json:"kinds"`
}

// ofKind are resources of one kind, firing ones first.
type ofKind struct {
	Kind      string  `json:"kind"`
	Resources []named `json:"resources"`
}

type named struct {
	Name   string `json:"name"`
	Firing bool   `json:"firing"`
}

func newTree(s streams) *cobra.Command {
	var o treeOptions
	c := &cobra.Command{
		Use:   "tree [NAME...]",
		Short: "Show incidents with their resources, hotspots and what they absorbed",
		Long: `Show incidents as a picture: what they say, the resources by namespace and kind with the firing ones marked, what most of
their alerts have in common, and the incidents that they absorbed. Without a name it shows all that are firing.`,
		Example: `  kubectl stormfold tree -n stormfold
  kubectl stormfold tree -n stormfold kube-node-not-ready-y23hcjqe7o

  # What somebody saved, or what kubectl just said
  kubectl stormfold tree -f incidents.yaml
  kubectl -n stormfold get inc -o yaml | kubectl stormfold tree -f -`,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args) },
	}
	o.kube.add(c)
	c.Flags().StringVarP(&o.file, "filename", "f", "", "read incidents from a file of YAML or JSON, - for the standard input")
	c.Flags().IntVar(&o.resources, "resources", 20, "how many resources of a kind to show; 0 shows all")
	addOutput(c, &o.output)
	return c
}

func (o *treeOptions) run(ctx context.Context, s streams, names []string) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if o.resources < 0 {
		return usagef("--resources is how many, so not %d", o.resources)
	}
	all, err := o.read(ctx, s, names)
	if err != nil {
		return err
	}
	chosen, err := choose(all, names)
	if err != nil {
		return err
	}
	out := forest{APIVersion: treeVersion, Incidents: make([]twig, 0, len(chosen))}
	for _, i := range chosen {
		out.Incidents = append(out.Incidents, twigOf(i, all))
	}
	return s.print(o.output, out, func(w io.Writer) {
		if len(out.Incidents) == 0 {
			fmt.Fprintln(w, "No incident is firing.")
		}
		for n, i := range out.Incidents {
			if n > 0 {
				fmt.Fprintln(w)
			}
			picture{color: s.color, now: s.now(), most: o.resources}.draw(w, i)
		}
	})
}

// read returns the incidents of a file, or of the cluster: all of the namespace, or those named with those of their groups.
func (o *treeOptions) read(ctx context.Context, s streams, names []string) ([]v1alpha1.Incident, error) {
	if o.file != "" {
		content, err := readInput(s, o.file)
		if err != nil {
			return nil, err
		}
		return parseIncidents(o.file, content)
	}
	k, err := o.kube.connect()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return k.list(ctx, metav1.ListOptions{})
	}
	var all []v1alpha1.Incident
	seen := map[string]bool{}
	for _, name := range names {
		i, err := k.get(ctx, name)
		if err != nil {
			return nil, err
		}
		group := []v1alpha1.Incident{*i}
		if id := i.Labels[v1alpha1.LabelGroup]; id != "" {
			others, err := k.list(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelGroup + "=" + id})
			if err != nil {
				return nil, err
			}
			group = append(group, others...)
		}
		for _, other := range group {
			if key := other.Namespace + "/" + other.Name; !seen[key] {
				seen[key] = true
				all = append(all, other)
			}
		}
	}
	return all, nil
}

// choose are the incidents of those names, or all that fire: storms first, then the oldest.
func choose(all []v1alpha1.Incident, names []string) ([]v1alpha1.Incident, error) {
	var out []v1alpha1.Incident
	for _, name := range names {
		at := slices.IndexFunc(all, func(i v1alpha1.Incident) bool { return i.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no incident %s in it", name)
		}
		out = append(out, all[at])
	}
	if len(names) > 0 {
		return out, nil
	}
	for _, i := range all {
		if i.Status.State == v1alpha1.StateFiring {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b v1alpha1.Incident) int {
		return cmp.Or(-cmp.Compare(a.Status.Type, b.Status.Type), since(a.Status.StartedAt).Compare(since(b.Status.StartedAt)), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// since is a time that may be missing.
func since(t *metav1.Time) (out time.Time) {
	if t != nil {
		out = t.Time
	}
	return out
}
