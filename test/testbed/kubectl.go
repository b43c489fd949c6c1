package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RunKubectl runs the real kubectl as the administrator with an input, which may be empty, and returns what it printed
// to its standard output. An error carries what it printed to its standard error.
func (c *Cluster) RunKubectl(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.KubeconfigPath,
		// Its cache of the API is keyed by address, and another cluster may have had this one.
		"KUBECACHEDIR="+c.file("kubectl-cache"))
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := spawn(cmd); err != nil {
		return "", fmt.Errorf("start kubectl: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s",
			strings.Join(args, " "), errors.Join(err, ctx.Err()), strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Kubectl runs the real kubectl as the administrator and returns what it printed; the test fails when kubectl does.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	output, err := c.RunKubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return output
}

// ApplyPaths applies manifests on the server's side by the real kubectl, in the order of the paths: a file, a directory
// of files, or a directory with a kustomization.
func (c *Cluster) ApplyPaths(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		flag := "--filename"
		for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				flag = "--kustomize"
			}
		}
		_, err := c.RunKubectl(ctx, "", "apply", "--server-side", "--field-manager=stormfold-testbed", flag, path)
		if err != nil {
			return err
		}
	}
	return nil
}

// Apply is ApplyPaths for tests.
func (c *Cluster) Apply(t testing.TB, paths ...string) {
	t.Helper()
	if err := c.ApplyPaths(t.Context(), paths...); err != nil {
		t.Fatalf("testbed: %v", err)
	}
}

// AwaitCRD waits until a custom resource definition, named like "incidents.stormfold.io", is established and the API
// server really answers for every served version, which is a little later.
func (c *Cluster) AwaitCRD(ctx context.Context, name string) error {
	client, err := apiextensions.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("make a client for definitions: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return await(ctx, c.APIServer, "definition "+name, func(ctx context.Context) error {
		crd, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := established(crd); err != nil {
			return err
		}
		for _, version := range crd.Spec.Versions {
			if !version.Served {
				continue
			}
			path := []string{"apis", crd.Spec.Group, version.Name, crd.Spec.Names.Plural}
			request := client.ApiextensionsV1().RESTClient().Get().AbsPath(path...).Param("limit", "1")
			if err := request.Do(ctx).Error(); err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitCRD is AwaitCRD for tests.
func (c *Cluster) WaitCRD(t testing.TB, name string) {
	t.Helper()
	if err := c.AwaitCRD(t.Context(), name); err != nil {
		t.Fatalf("testbed: %v", err)
	}
}

func established(crd *apiextensionsv1.CustomResourceDefinition) error {
	for _, condition := range crd.Status.Conditions {
		if condition.Type == apiextensionsv1.NamesAccepted && condition.Status == apiextensionsv1.ConditionFalse {
			return fmt.Errorf("names not accepted: %s", condition.Message)
		}
		if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
			return nil
		}
	}
	return errors.New("not established")
}

// CreateNamespace creates a namespace and returns its name. A name that ends with a hyphen is completed by the server
// to one that nobody has. The namespace stays: without a controller manager it could not be deleted.
func (c *Cluster) CreateNamespace(t testing.TB, name string) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if strings.HasSuffix(name, "-") {
		namespace.ObjectMeta = metav1.ObjectMeta{GenerateName: name}
	}
	created, err := c.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return name
	}
	if err != nil {
		t.Fatalf("testbed: create namespace %s: %v", name, err)
	}
	return created.Name
}
