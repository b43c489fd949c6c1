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
	"github.com/stormfold/stormfold/internal/tree"
)

// treeOptions are the flags of tree.
type treeOptions struct {
	kube      kubeFlags
	file      string
	output    string
	resources int
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
	out := tree.Forest{APIVersion: tree.Version, Incidents: make([]tree.Incident, 0, len(chosen))}
	for _, i := range chosen {
		out.Incidents = append(out.Incidents, tree.Of(i, all))
	}
	return s.print(o.output, out, func(w io.Writer) {
		if len(out.Incidents) == 0 {
			fmt.Fprintln(w, "No incident is firing.")
		}
		for n, i := range out.Incidents {
			if n > 0 {
				fmt.Fprintln(w)
			}
			tree.Picture{Color: s.color, Now: s.now(), Most: o.resources}.Draw(w, i)
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
