package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// kubeTimeout ends each call of the Kubernetes API.
const kubeTimeout = 10 * time.Second

// page is how many incidents one list asks for.
const page = 500

// kubeFlags say which cluster and which namespace, as kubectl's own flags do.
type kubeFlags struct {
	kubeconfig, context, namespace string
	all                            bool
}

func (k *kubeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.kubeconfig, "kubeconfig", "", "kubeconfig file; KUBECONFIG or ~/.kube/config without")
	f.StringVar(&k.context, "context", "", "context of the kubeconfig; its current one without")
	f.StringVarP(&k.namespace, "namespace", "n", "", "namespace of the incidents; the context's without")
	f.BoolVarP(&k.all, "all-namespaces", "A", false, "look in all namespaces")
}

// errNoKubeconfig: nobody has said which cluster.
var errNoKubeconfig = errors.New("there is no kubeconfig: give --kubeconfig or set KUBECONFIG")

// kube reads incidents of a cluster.
type kube struct {
	incidents projector.Incidents
	host      string
	// namespace is empty for all.
	namespace string
}

// connect reads the kubeconfig. It does not speak to the cluster yet.
func (k *kubeFlags) connect() (*kube, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: k.context}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	raw, err := loader.RawConfig()
	if err == nil && len(raw.Clusters) == 0 && len(raw.Contexts) == 0 {
		return nil, errNoKubeconfig
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	restConfig, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	out := &kube{host: restConfig.Host, namespace: k.namespace}
	if out.namespace == "" {
		if out.namespace, _, err = loader.Namespace(); err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	if k.all {
		out.namespace = metav1.NamespaceAll
	}
	if out.incidents, err = projector.NewClient(restConfig, kubeTimeout, 50, 100); err != nil {
		return nil, err
	}
	return out, nil
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
	var out []v1alpha1.Incident
	options.Limit = page
	for {
		list, err := k.incidents.List(ctx, k.namespace, options)
		if err != nil {
			return nil, k.explain(err)
		}
		out = append(out, list.Items...)
		if options.Continue = list.Continue; options.Continue == "" {
			return out, nil
		}
	}
}

// explain makes a sentence of what the API server or the way to it says.
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
