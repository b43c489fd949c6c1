package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenLifetime is that of service account tokens; no run of tests is as long.
const tokenLifetime = 24 * time.Hour

// Kubeconfig writes a kubeconfig file of the administrator for this test and returns its path.
func (c *Cluster) Kubeconfig(t testing.TB) string {
	t.Helper()
	return kubeconfigFile(t, c.Config)
}

// ServiceAccountConfig returns the configuration of a client that authenticates as a service account, by a token of the
// TokenRequest API and without a certificate. The account is created when it is absent; its namespace has to exist.
// Client-side limits are client-go's defaults, as for any program that forgets to set them.
func (c *Cluster) ServiceAccountConfig(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	config, err := c.serviceAccount(t.Context(), namespace, name)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return config
}

// ServiceAccountKubeconfig writes the kubeconfig file of a service account for this test and returns its path. See
// ServiceAccountConfig.
func (c *Cluster) ServiceAccountKubeconfig(t testing.TB, namespace, name string) string {
	t.Helper()
	return kubeconfigFile(t, c.ServiceAccountConfig(t, namespace, name))
}

func (c *Cluster) serviceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	accounts := c.Client.CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create service account %s/%s: %w", namespace, name, err)
	}
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	request, err := accounts.CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("request a token of service account %s/%s: %w", namespace, name, err)
	}
	return &rest.Config{
		Host:            c.Config.Host,
		BearerToken:     request.Status.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca},
	}, nil
}

// writeCredentials makes the keys of a new cluster, writes the API server's to files, and sets up the administrator.
func (c *Cluster) writeCredentials(url string) error {
	ca, err := newAuthority("stormfold-testbed")
	if err != nil {
		return err
	}
	server, err := ca.server("kube-apiserver")
	if err != nil {
		return err
	}
	admin, err := ca.client("admin", "system:masters")
	if err != nil {
		return err
	}
	signing, err := newSigningKey()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.crt":        ca.certPEM,
		"apiserver.crt": server.public, "apiserver.key": server.private,
		"admin.crt": admin.public, "admin.key": admin.private,
		"sa.pub": signing.public, "sa.key": signing.private,
	} {
		if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
			return fmt.Errorf("write the cluster's keys: %w", err)
		}
	}
	c.ca = ca.certPEM
	c.Config = &rest.Config{
		Host:            url,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca.certPEM, CertData: admin.public, KeyData: admin.private},
		QPS:             -1,
	}
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("make the administrator's client: %w", err)
	}
	return writeKubeconfig(c.KubeconfigPath, c.Config)
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// kubeconfigFile writes a kubeconfig into a directory of the test.
func kubeconfigFile(t testing.TB, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(path, config); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return path
}

func writeKubeconfig(path string, config *rest.Config) error {
	const name = "testbed"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return nil
}
