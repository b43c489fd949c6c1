package testbed_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/stormfold/stormfold/test/testbed"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	server := testbed.Redis(t, "--requirepass", "p@ss/word")
	client := server.Client()
	require.NoError(t, client.Set(t.Context(), "key", "value", 0).Err())
	options, err := redis.ParseURL(server.URL)
	require.NoError(t, err)
	assert.Equal(t, server.Addr, options.Addr)

	require.NoError(t, server.Restart())
	assert.ErrorIs(t, client.Get(t.Context(), "key").Err(), redis.Nil, "a restarted server is empty")
	assert.Error(t, server.Start(), "it is running already")

	require.NoError(t, server.Pause())
	paused, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	assert.Error(t, client.Ping(paused).Err(), "a paused server does not answer")
	require.NoError(t, server.Stop(), "a paused server can be stopped")
	assertClosed(t, server.Addr)

	require.NoError(t, server.Start())
	require.NoError(t, client.Ping(t.Context()).Err())
	require.NoError(t, server.Kill())
	assertClosed(t, server.Addr)
	assert.Error(t, server.Wait())
}

func TestRedisKeepsWhatItIsToldToPersist(t *testing.T) {
	t.Parallel()
	server := testbed.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	require.NoError(t, server.Client().Set(t.Context(), "key", "value", 0).Err())
	require.NoError(t, server.Kill())
	require.NoError(t, server.Start())
	value, err := server.Client().Get(t.Context(), "key").Result()
	require.NoError(t, err)
	assert.Equal(t, "value", value)
}

// TestRedisClusterBus: the port of a node's bus is one of those that no client takes by chance, as its own is.
func TestRedisClusterBus(t *testing.T) {
	t.Parallel()
	server := testbed.Redis(t, "--cluster-enabled", "yes")
	setting, err := server.Client().ConfigGet(t.Context(), "cluster-port").Result()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	bus, err := strconv.Atoi(setting["cluster-port"])
	require.NoError(t, err)
	assert.NotEqual(t, port, setting["cluster-port"])
	assert.Greater(t, bus, 10_000, "0 is 10,000 more than the server's own, which may be a client's")
	assert.Less(t, bus, 32_000)
}

func TestRedisThatCannotStart(t *testing.T) {
	t.Parallel()
	_, err := testbed.StartRedis(t.TempDir(), "--no-such-option", "1")
	assert.ErrorContains(t, err, "no-such-option", "the error shows the log")
}

func TestAlertmanager(t *testing.T) {
	t.Parallel()
	server := testbed.Alertmanager(t, "route: {receiver: none}\nreceivers: [{name: none}]\n")
	alert := []byte(`[{"labels": {"alertname": "Test"}}]`)
	response, err := http.Post(server.URL+"/api/v2/alerts", "application/json", bytes.NewReader(alert))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode)

	require.NoError(t, server.Restart())
	require.NoError(t, server.Stop())
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	assertClosed(t, address.Host)
}

// TestControlPlane uses one control plane for everything, since its start takes most of the time.
func TestControlPlane(t *testing.T) {
	t.Parallel()
	cluster := testbed.ControlPlane(t)
	namespace := cluster.CreateNamespace(t, "test-")

	t.Run("anonymous requests are refused", func(t *testing.T) {
		config := rest.AnonymousClientConfig(cluster.Config)
		client, err := kubernetes.NewForConfig(config)
		require.NoError(t, err)
		_, err = client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		assert.True(t, apierrors.IsUnauthorized(err), "%v", err)
	})

	t.Run("a service account may do what its role says", func(t *testing.T) {
		config := cluster.ServiceAccountConfig(t, namespace, "reader")
		fromFile, err := clientcmd.BuildConfigFromFlags("", cluster.ServiceAccountKubeconfig(t, namespace, "reader"))
		require.NoError(t, err)
		assert.Empty(t, fromFile.CertData)

		_, err = cluster.Client.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Name: "reader"},
			Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}},
			},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		cluster.Kubectl(t, "--namespace", namespace, "create", "rolebinding", "reader",
			"--role=reader", "--serviceaccount="+namespace+":reader")
		for _, config := range []*rest.Config{config, fromFile} {
			client, err := kubernetes.NewForConfig(config)
			require.NoError(t, err)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				_, err := client.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
				assert.NoError(c, err)
			}, 5*time.Second, 20*time.Millisecond)
			_, err = client.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
			assert.True(t, apierrors.IsForbidden(err), "%v", err)
		}
	})

	t.Run("manifests are applied and requests counted", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "kustomization.yaml"), "resources: [crd.yaml]\n")
		write(t, filepath.Join(dir, "crd.yaml"), widgets)
		object := filepath.Join(t.TempDir(), "widget.yaml")
		write(t, object, "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: "+namespace+"}\n")

		cluster.Apply(t, dir)
		cluster.WaitCRD(t, "widgets.example.com")
		before := cluster.RequestCounts(t, "example.com", "widgets")
		cluster.Apply(t, object)
		cluster.Kubectl(t, "--namespace", namespace, "patch", "widget", "one",
			"--subresource=status", "--type=merge", `--patch={"status": {"size": 1}}`)
		assert.Equal(t, "1", cluster.Kubectl(t, "--kubeconfig", cluster.Kubeconfig(t), "--namespace", namespace,
			"get", "widget", "one", "--output=jsonpath={.status.size}"))

		require.EventuallyWithT(t, func(c *assert.CollectT) {
			counts := cluster.RequestCounts(t, "example.com", "widgets").Since(before)
			assert.Equal(c, 2, counts.Writes(), "%v", counts)
			assert.Equal(c, 1, counts.Object("APPLY"), "%v", counts)
			assert.Equal(c, 1, counts.Status("PATCH"), "%v", counts)
		}, 5*time.Second, 50*time.Millisecond)
		assert.Zero(t, cluster.IncidentRequests(t).Verbs())

		_, err := cluster.RunKubectl(t.Context(), "", "get", "nothing")
		assert.ErrorContains(t, err, "nothing")
	})

	t.Run("both servers come back with their data", func(t *testing.T) {
		require.NoError(t, cluster.APIServer.Kill())
		assertClosed(t, hostOf(t, cluster.Config.Host))
		require.NoError(t, cluster.StopEtcd())
		require.NoError(t, cluster.StartEtcd())
		require.NoError(t, cluster.StartAPIServer())
		_, err := cluster.Client.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		require.NoError(t, err)
	})

	require.NoError(t, cluster.Stop())
	assertClosed(t, hostOf(t, cluster.Config.Host))
}

func TestPortsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 20 {
		port := testbed.Port(t)
		assert.False(t, seen[port])
		assert.Less(t, port, 32768, "not from the range of outgoing connections")
		seen[port] = true
	}
}

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	return parsed.Host
}

func assertClosed(t *testing.T, address string) {
	t.Helper()
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		err = connection.Close()
		assert.Fail(t, "still open", "%s (%v)", address, err)
	}
}
