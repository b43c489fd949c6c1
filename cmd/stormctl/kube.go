package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// kubeTimeout is the timeout of a call to the Kubernetes API, unless --request-timeout is set.
const kubeTimeout = 10 * time.Second

// page is the number of incidents of one list request.
const page = 500

// kubeFlags are kubectl's own flags, which name a cluster, a user and a namespace.
type kubeFlags struct {
	*genericclioptions.ConfigFlags
	all bool
}

// shownFlags are shown in the help; the others work too.
var shownFlags = map[string]bool{"kubeconfig": true, "context": true, "namespace": true, "server": true, "as": true}

func (k *kubeFlags) add(c *cobra.Command) {
	k.ConfigFlags = genericclioptions.NewConfigFlags(true)
	flags := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	k.AddFlags(flags)
	flags.BoolVarP(&k.all, "all-namespaces", "A", false, "If present, look in all namespaces")
	flags.VisitAll(func(f *pflag.Flag) { f.Hidden = !shownFlags[f.Name] && f.Name != "all-namespaces" })
	c.Flags().AddFlagSet(flags)
	c.Long += "\n\nAll connection flags of kubectl work too; see 'kubectl options'."
	k.complete(c)
}

// errNoKubeconfig: no cluster is configured.
var errNoKubeconfig = errors.New("there is no kubeconfig: give --kubeconfig or set KUBECONFIG")

// kube reads incidents of a cluster.
type kube struct {
	incidents projector.Incidents
	// others reads other objects, and watches incidents.
	others dynamic.Interface
	host   string
	// namespace is empty for all.
	namespace string
}

// connect reads the kubeconfig. It does not connect to the cluster.
func (k *kubeFlags) connect() (*kube, error) {
	loader := k.ToRawKubeConfigLoader()
	raw, err := loader.RawConfig()
	if err == nil && len(raw.Clusters) == 0 && len(raw.Contexts) == 0 && *k.APIServer == "" {
		return nil, errNoKubeconfig
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	restConfig, err := k.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if k.all {
		namespace = metav1.NamespaceAll
	}
	return newKube(restConfig, namespace)
}

func newKube(config *rest.Config, namespace string) (*kube, error) {
	timeout := config.Timeout
	if timeout == 0 {
		timeout = kubeTimeout
	}
	incidents, err := projector.NewClient(config, timeout, 50, 100)
	if err != nil {
		return nil, err
	}
	others, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the API server %s: %w", config.Host, err)
	}
	return &kube{incidents: incidents, others: others, host: config.Host, namespace: namespace}, nil
}

// get returns the incident of that name; with all namespaces, the first that has it.
func (k *kube) get(ctx context.Context, name string) (*v1alpha1.Incident, error) {
	if k.namespace != metav1.NamespaceAll {
		i, err := k.incidents.Get(ctx, k.namespace, name)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("there is no incident %s in namespace %s", name, k.namespace)
		}
		return i, k.explain(err)
	}
	found, err := k.list(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("there is no incident %s in any namespace", name)
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// list returns all incidents that the options select.
func (k *kube) list(ctx context.Context, options metav1.ListOptions) ([]v1alpha1.Incident, error) {
	out, _, err := k.listAt(ctx, options)
	return out, err
}

// listAt returns the version of the list too, from which it can be watched.
func (k *kube) listAt(ctx context.Context, options metav1.ListOptions) ([]v1alpha1.Incident, string, error) {
	var out []v1alpha1.Incident
	options.Limit = page
	for {
		list, err := k.incidents.List(ctx, k.namespace, options)
		if err != nil {
			return nil, "", k.explain(err)
		}
		out = append(out, list.Items...)
		if options.Continue = list.Continue; options.Continue == "" {
			return out, list.ResourceVersion, nil
		}
	}
}

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// hasNamespace is false only if the namespace surely does not exist. Not everyone may read namespaces.
func (k *kube) hasNamespace(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, kubeTimeout)
	defer cancel()
	_, err := k.others.Resource(namespaces).Get(ctx, k.namespace, metav1.GetOptions{})
	return !apierrors.IsNotFound(err)
}

// explain turns an error of the API server, or of the connection to it, into a sentence.
func (k *kube) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s does not serve incidents.stormfold.io: is Stormfold installed there?", k.host)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s does not let you read incidents: %w", k.host, err)
	default:
		return fmt.Errorf("reading incidents from %s: %w", k.host, err)
	}
}
