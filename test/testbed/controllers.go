package testbed

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controllers are those of kube-controller-manager that mean something in a cluster without nodes.
var controllers = []string{
	"namespace-controller", "serviceaccount-controller", "serviceaccount-token-controller", "resourcequota-controller",
	"garbage-collector-controller", "root-ca-certificate-publisher-controller", "clusterrole-aggregation-controller",
}

// StartControllerManager starts a kube-controller-manager with the controllers for namespaces, service accounts,
// quotas, garbage and aggregated ClusterRoles, and returns when it works. Whoever starts it also stops it. It logs in
// as a service account of kube-system with the role that Kubernetes has for it. More controllers, "*" for all of
// Kubernetes', are what a cluster with nodes needs.
func (c *Cluster) StartControllerManager(ctx context.Context, more ...string) (*Process, error) {
	path, err := Binary("kube-controller-manager")
	if err != nil {
		return nil, err
	}
	const name = "kube-controller-manager"
	kubeconfig, err := c.accountKubeconfig(ctx, metav1.NamespaceSystem, name)
	if err != nil {
		return nil, err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "stormfold-testbed:" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:" + name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: name}},
	}
	_, err = c.Client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("bind the role of %s: %w", name, err)
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	p, err := StartProcess(Command{Name: name, Path: path, Dir: c.dir, Args: []string{
		"--kubeconfig=" + kubeconfig, "--leader-elect=false", "--use-service-account-credentials=true",
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port), "--cert-dir=" + c.file("controller-manager"),
		"--service-account-private-key-file=" + c.file("sa.key"), "--root-ca-file=" + c.file("ca.crt"),
		"--controllers=" + strings.Join(slices.Concat(controllers, more), ","),
	}})
	if err != nil {
		return nil, err
	}
	// The account that every namespace gets is the first thing that it makes.
	err = awaitReady(p, func(ctx context.Context) error {
		_, err := c.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	if err != nil {
		return nil, stopped(p, err)
	}
	return p, nil
}

// accountKubeconfig writes the kubeconfig of a service account beside the cluster's other files and returns its path.
func (c *Cluster) accountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	config, err := c.serviceAccount(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	path := c.file(filepath.Base(namespace) + "." + filepath.Base(name) + ".kubeconfig")
	return path, writeKubeconfig(path, config)
}
