package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Cluster is a Kubernetes control plane without nodes: etcd and kube-apiserver with RBAC, priority and fairness, and
// anonymous access off. No controller manager runs until StartControllerManager: nothing creates default service
// accounts, finishes the deletion of a namespace or collects garbage.
type Cluster struct {
	// Config is the administrator's (group system:masters, exempt from priority and fairness), without a client-side
	// rate limit. Copy it before changing it.
	Config *rest.Config
	// Client is a typed client of the administrator.
	Client kubernetes.Interface
	// KubeconfigPath is the administrator's kubeconfig file; tests that may change the file take Kubeconfig instead.
	KubeconfigPath string
	// Etcd and APIServer are the running or last processes, for Pause, Resume and logs. Restarting replaces them.
	Etcd, APIServer *Process

	dir              string
	kubectl          string
	ca               []byte
	etcdURL          string
	etcdCommand      Command
	apiServerCommand Command
}

// StartControlPlane starts a control plane that keeps its files in a directory, which has to exist, and returns when
// the API server is ready. It takes about 4 s and 400 MiB. Further arguments are those of kube-apiserver; of a secure
// port, which is a free one otherwise, the clients know too.
func StartControlPlane(dir string, apiServerArgs ...string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the control plane's directory: %w", err)
	}
	c := &Cluster{dir: dir, KubeconfigPath: filepath.Join(dir, "kubeconfig")}
	if err := c.prepare(apiServerArgs); err != nil {
		return nil, fmt.Errorf("prepare the control plane: %w", err)
	}
	if err := c.StartEtcd(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.StartAPIServer(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// ControlPlane is StartControlPlane for tests: the control plane ends with the test.
func ControlPlane(t testing.TB, apiServerArgs ...string) *Cluster {
	t.Helper()
	c, err := StartControlPlane(t.TempDir(), apiServerArgs...)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		c.LogOnFailure(t)
	})
	return c
}

// RunWithControlPlane runs the tests of a package with one control plane for all and returns the exit status for
// TestMain. The function set gets the control plane before the first test; its error ends the run.
func RunWithControlPlane(m *testing.M, set func(*Cluster) error, apiServerArgs ...string) (status int) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		status = 1
	}
	dir, err := os.MkdirTemp("", "stormfold-control-plane-")
	if err != nil {
		fail(err)
		return status
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fail(err)
		}
	}()
	c, err := StartControlPlane(dir, apiServerArgs...)
	if err != nil {
		fail(err)
		return status
	}
	defer func() {
		if err := c.Stop(); err != nil {
			fail(err)
		}
	}()
	if err := set(c); err != nil {
		fail(err)
		return status
	}
	return m.Run()
}

// prepare makes the keys, files, clients and command lines; nothing runs yet.
func (c *Cluster) prepare(apiServerArgs []string) error {
	paths, err := Build("etcd", "kube-apiserver", "kubectl")
	if err != nil {
		return err
	}
	c.kubectl = paths["kubectl"]
	var ports [3]int
	for i := range ports {
		port, err := FreePort()
		if err != nil {
			return err
		}
		ports[i] = port
	}
	for _, arg := range apiServerArgs {
		if value, ok := strings.CutPrefix(arg, "--secure-port="); ok {
			if ports[2], err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("%s: %w", arg, err)
			}
		}
	}
	c.etcdURL = "http://" + loopback(ports[0])
	peerURL := "http://" + loopback(ports[1])
	c.etcdCommand = Command{Name: "etcd", Path: paths["etcd"], Dir: c.dir, Args: []string{
		"--data-dir=" + filepath.Join(c.dir, "etcd"),
		// What a test writes need not survive a power failure of the machine; a kill it survives.
		"--unsafe-no-fsync",
		"--listen-client-urls=" + c.etcdURL, "--advertise-client-urls=" + c.etcdURL,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=default=" + peerURL,
	}}
	if err := c.writeCredentials("https://" + loopback(ports[2])); err != nil {
		return err
	}
	c.apiServerCommand = Command{Name: "kube-apiserver", Path: paths["kube-apiserver"], Dir: c.dir, Args: append([]string{
		"--etcd-servers=" + c.etcdURL,
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(ports[2]), "--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--client-ca-file=" + c.file("ca.crt"),
		"--tls-cert-file=" + c.file("apiserver.crt"), "--tls-private-key-file=" + c.file("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.file("sa.pub"), "--service-account-signing-key-file=" + c.file("sa.key"),
		"--authorization-mode=RBAC", "--anonymous-auth=false", "--enable-priority-and-fairness=true", "--profiling=false",
	}, apiServerArgs...)}
	return nil
}

// StartEtcd starts etcd, again after StopEtcd with the same data, and returns when it is healthy.
func (c *Cluster) StartEtcd() (err error) {
	c.Etcd, err = restart(c.Etcd, c.etcdCommand, func(ctx context.Context) error {
		return httpOK(ctx, c.etcdURL+"/health")
	})
	return err
}

// StopEtcd ends etcd by SIGTERM. The API server stays and fails its requests.
func (c *Cluster) StopEtcd() error { return c.Etcd.Stop() }

// StartAPIServer starts the API server, again after StopAPIServer on the same address, and returns when it is ready.
func (c *Cluster) StartAPIServer() (err error) {
	c.APIServer, err = restart(c.APIServer, c.apiServerCommand, c.ready)
	return err
}

// StopAPIServer ends the API server by SIGTERM, which lets it finish its requests. For one that vanishes there is
// APIServer.Kill, for one that hangs APIServer.Pause.
func (c *Cluster) StopAPIServer() error { return c.APIServer.Stop() }

// RestartAPIServer is StopAPIServer and StartAPIServer.
func (c *Cluster) RestartAPIServer() error {
	if err := c.StopAPIServer(); err != nil {
		return err
	}
	return c.StartAPIServer()
}

// Stop ends the control plane permanently, by SIGKILL: its data is not needed any more.
func (c *Cluster) Stop() error {
	var errs []error
	for _, p := range []*Process{c.APIServer, c.Etcd} {
		if p != nil {
			errs = append(errs, p.Kill())
		}
	}
	return errors.Join(errs...)
}

// LogOnFailure prints the ends of the servers' logs when the test has failed so far.
func (c *Cluster) LogOnFailure(t testing.TB) {
	t.Helper()
	c.Etcd.LogOnFailure(t)
	c.APIServer.LogOnFailure(t)
}

// ready asks for more than /readyz: the namespace "default" is made by a controller inside the API server, which does
// not count for its readiness.
func (c *Cluster) ready(ctx context.Context) error {
	if _, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	_, err := c.Client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return err
}

// restart starts a server whose previous process, if any, has ended, and waits until it is ready. The returned process
// is the one to keep, also with an error.
func restart(previous *Process, command Command, ready func(context.Context) error) (*Process, error) {
	if previous != nil && previous.Running() {
		return previous, fmt.Errorf("start %s: it is running", command.Name)
	}
	p, err := StartProcess(command)
	if err != nil {
		return previous, err
	}
	if err := awaitReady(p, ready); err != nil {
		return p, errors.Join(err, p.Kill())
	}
	return p, nil
}
