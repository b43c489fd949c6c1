package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/config"
)

// completes is a function that suggests values, as cobra calls it.
type completes = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// completeTimeout is the timeout of a suggestion that asks a cluster: somebody waits at a prompt.
const completeTimeout = 3 * time.Second

// words suggests fixed words.
func words(all ...string) completes {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// suggest registers the function that suggests the values of an existing flag.
func suggest(c *cobra.Command, flag string, f completes) {
	cobra.CheckErr(c.RegisterFlagCompletionFunc(flag, f))
}

// complete suggests contexts and namespaces.
func (k *kubeFlags) complete(c *cobra.Command) {
	suggest(c, "context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		raw, err := k.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(raw.Contexts)), cobra.ShellCompDirectiveNoFileComp
	})
	suggest(c, "namespace", k.ask(func(ctx context.Context, in *kube) (out []string, err error) {
		list, err := in.others.Resource(namespaces).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, n := range list.Items {
			out = append(out, n.GetName())
		}
		return out, nil
	}))
}

// ask suggests values from a cluster. Without an answer there are no suggestions, and no message at the prompt.
func (k *kubeFlags) ask(f func(context.Context, *kube) ([]string, error)) completes {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmp.Or(c.Context(), context.Background()), completeTimeout)
		defer cancel()
		in, err := k.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found, err := f(ctx, in)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		found = slices.DeleteFunc(found, func(name string) bool { return slices.Contains(args, name) })
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// incidentNames are those of the namespace, firing ones first.
func incidentNames(ctx context.Context, in *kube) ([]string, error) {
	all, err := in.list(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, byWeight)
	var out []string
	for _, i := range all {
		out = append(out, i.Name+"\t"+string(i.Status.State)+" "+string(i.Status.Type))
	}
	return out, nil
}

// policyChanges suggests the fields of the built-in policies, as --set takes them.
func policyChanges(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, p := range config.Default().List {
		out = append(out, changesOf(p.Name, config.PolicyFields())...)
	}
	for _, o := range config.Default().Outages {
		out = append(out, changesOf(o.Name, config.OutageFields())...)
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

func changesOf[T any](policy string, fields []config.FieldOf[T]) (out []string) {
	for _, f := range fields {
		if f.Key != "name" && f.Key != "match" {
			out = append(out, policy+"."+f.Key+"=")
		}
	}
	return out
}

// completer is the name under which kubectl looks for what completes a plugin: it runs that with the arguments so far.
const completer = "kubectl_complete-stormfold"

// asCompleter is the command line with which cobra completes, if kubectl calls the program by that name.
func asCompleter(program string, args []string) []string {
	if strings.TrimSuffix(program, ".exe") == completer {
		return append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	return args
}
