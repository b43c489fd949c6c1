package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/human"
	"github.com/stormfold/stormfold/internal/tree"
)

// treeOptions are the flags of tree.
type treeOptions struct {
	kube      kubeFlags
	file      string
	output    *output
	resources int
	watch     bool
}

func newTree(s streams) *cobra.Command {
	o := treeOptions{output: newOutput(formatJSON, formatYAML, formatName, formatWide)}
	c := &cobra.Command{
		Use:   "tree [NAME...]",
		Short: "Show incidents as trees: resources, hotspots, conditions, absorbed incidents",
		Long: `Show incidents as trees: times, summary, common labels, hotspots (the labels that most of the alerts
share), resources by namespace and kind, conditions, and absorbed incidents. A filled dot marks what is firing. Without
names it shows all firing incidents. -o wide also shows all resources, the messages of conditions, and namespaces.`,
		Example: `  # All firing incidents in a namespace, or in all namespaces
  kubectl stormfold tree -n stormfold
  kubectl stormfold tree -A

  # One incident, drawn again at each change
  kubectl stormfold tree -n stormfold kube-node-not-ready-y23hcjqe7o -w

  # Incidents that kubectl saved or prints
  kubectl stormfold tree -f incidents.yaml
  kubectl -n stormfold get inc -o yaml | kubectl stormfold tree -f -`,
		ValidArgsFunction: func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			return o.kube.ask(incidentNames)(c, args, typed)
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args) },
	}
	o.kube.add(c)
	c.Flags().StringVarP(&o.file, "filename", "f", "",
		"read incidents from a YAML or JSON file, - for the standard input")
	c.Flags().IntVar(&o.resources, "resources", 20, "maximum number of resources to show of each kind, 0 for all")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "draw them again at each change, until interrupted")
	o.output.add(c)
	return c
}

func (o *treeOptions) run(ctx context.Context, s streams, names []string) error {
	switch {
	case o.resources < 0:
		return usagef("--resources %d is not a number of resources", o.resources)
	case o.watch && o.file != "":
		return usagef("--watch is for a cluster, not for the file of --filename")
	case o.watch && o.output.format != "" && o.output.format != formatWide:
		return usagef("--watch shows a text, not %s", o.output.format)
	case o.watch:
		return o.follow(ctx, s, names)
	}
	all, nothing, err := o.read(ctx, s, names)
	if err != nil {
		return err
	}
	out, err := forestOf(all, names)
	if err != nil {
		return err
	}
	return s.print(o.output.format, out, func(w io.Writer) { o.draw(w, s, out, nothing) })
}

// forestOf are the incidents of those names, or all that fire.
func forestOf(all []v1alpha1.Incident, names []string) (tree.Forest, error) {
	chosen, err := choose(all, names)
	if err != nil {
		return tree.Forest{}, err
	}
	out := tree.Forest{APIVersion: tree.Version, Incidents: make([]tree.Incident, 0, len(chosen))}
	for _, i := range chosen {
		out.Incidents = append(out.Incidents, tree.Of(i, all))
	}
	return out, nil
}

// draw writes trees or names, or that there is nothing to show.
func (o *treeOptions) draw(w io.Writer, s streams, out tree.Forest, nothing string) {
	p := tree.Picture{
		Color: s.color, Now: s.now(), Most: o.resources, Wide: o.output.format == formatWide, Namespaces: o.kube.all,
	}
	if len(out.Incidents) == 0 && o.output.format != formatName {
		fmt.Fprintln(w, nothing)
	}
	for n, i := range out.Incidents {
		if o.output.format == formatName {
			fmt.Fprintf(w, "incident.%s/%s\n", v1alpha1.SchemeGroupVersion.Group, i.Name)
			continue
		}
		if n > 0 {
			fmt.Fprintln(w)
		}
		p.Draw(w, i)
	}
}

// read returns the incidents of a file or of the cluster, and a sentence in case none of them fires.
func (o *treeOptions) read(ctx context.Context, s streams, names []string) ([]v1alpha1.Incident, string, error) {
	if o.file != "" {
		content, err := readInput(s, o.file)
		if err != nil {
			return nil, "", err
		}
		all, err := parseIncidents(o.file, content)
		return all, "No incident is firing.", err
	}
	k, err := o.kube.connect()
	if err != nil {
		return nil, "", err
	}
	if len(names) == 0 {
		all, err := k.list(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, "", err
		}
		return all, k.nothing(ctx, all), nil
	}
	all, err := k.withGroups(ctx, names)
	return all, "", err
}

// withGroups are the incidents of those names, the others of their groups, and the outages that are part of them.
func (k *kube) withGroups(ctx context.Context, names []string) ([]v1alpha1.Incident, error) {
	var all []v1alpha1.Incident
	seen := map[string]bool{}
	for _, name := range names {
		i, err := k.get(ctx, name)
		if err != nil {
			return nil, err
		}
		group, err := k.withOutages(ctx, *i)
		if err != nil {
			return nil, err
		}
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

// withOutages is an incident and, if it is an outage, those outages that are part of it and still there.
func (k *kube) withOutages(ctx context.Context, i v1alpha1.Incident) ([]v1alpha1.Incident, error) {
	out := []v1alpha1.Incident{i}
	for n := 0; n < len(out); n++ {
		for _, part := range out[n].Status.Parts {
			known := slices.ContainsFunc(out, func(o v1alpha1.Incident) bool {
				return o.Name == part.Name && o.Namespace == part.Namespace
			})
			if part.Type != v1alpha1.TypeOutage || known {
				continue
			}
			below, err := k.incidents.Get(ctx, part.Namespace, part.Name)
			switch {
			case err == nil:
				out = append(out, *below)
			case !apierrors.IsNotFound(err):
				return nil, k.explain(err)
			}
		}
	}
	return out, nil
}

// nothing says where no incident fires, and where else one may.
func (k *kube) nothing(ctx context.Context, all []v1alpha1.Incident) string {
	over := ""
	if len(all) > 0 {
		over = fmt.Sprintf(" (%s over)", counted(len(all), "incident is", "incidents are"))
	}
	switch {
	case k.namespace == metav1.NamespaceAll:
		return "No incident is firing in any namespace" + over + "."
	case len(all) == 0 && !k.hasNamespace(ctx):
		return "No incident is firing in namespace " + k.namespace + ", which does not exist; -A looks in all."
	default:
		return "No incident is firing in namespace " + k.namespace + over + "; -A looks in all."
	}
}

// choose are the incidents of those names, or all that fire: storms first, then the oldest.
func choose(all []v1alpha1.Incident, names []string) ([]v1alpha1.Incident, error) {
	var out []v1alpha1.Incident
	for _, name := range names {
		at := slices.IndexFunc(all, func(i v1alpha1.Incident) bool { return i.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no incident %s", name)
		}
		out = append(out, all[at])
	}
	if len(names) > 0 {
		return out, nil
	}
	firing := map[string]bool{}
	for _, i := range all {
		firing[i.Name] = i.Status.State == v1alpha1.StateFiring
	}
	for _, i := range all {
		if firing[i.Name] && !firing[i.Status.PartOf] { // An outage shows its incidents.
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, byWeight)
	return out, nil
}

// weights are the types in the order in which to look at them.
var weights = []v1alpha1.Type{v1alpha1.TypeOutage, v1alpha1.TypeStorm, v1alpha1.TypeAlert}

// byWeight puts firing incidents first, outages and storms before others, and then the oldest.
func byWeight(a, b v1alpha1.Incident) int {
	fires := func(i v1alpha1.Incident) bool { return i.Status.State == v1alpha1.StateFiring }
	return cmp.Or(human.TrueFirst(fires(a), fires(b)),
		cmp.Compare(slices.Index(weights, a.Status.Type), slices.Index(weights, b.Status.Type)),
		since(a.Status.StartedAt).Compare(since(b.Status.StartedAt)), cmp.Compare(a.Name, b.Name))
}

// since is a time that may be missing.
func since(t *metav1.Time) (out time.Time) {
	if t != nil {
		out = t.Time
	}
	return out
}
