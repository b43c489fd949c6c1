package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// EventingServer is Knative Eventing as its release has it: webhooks, controllers, the multi-tenant broker on in-memory
// channels and the adapter of PingSources, each a process with the token of its own service account. Beside them runs a
// kube-controller-manager, on whose aggregated roles they rely.
type EventingServer struct {
	cluster   *Cluster
	objects   dynamic.Interface
	names     *names
	ingress   string // host:port of the broker's ingress.
	lock      *os.File
	processes []*Process
}

// systemNamespace is where Knative Eventing lives.
const systemNamespace = "knative-eventing"

// dispatcherPorts are compiled into the dispatcher of in-memory channels, on all addresses: HTTP, and HTTPS.
var dispatcherPorts = []int{8080, 8443}

// StartEventing starts Knative Eventing on a cluster and returns when its webhooks answer. It takes about 10 s and
// 500 MiB. Because of the dispatcher's ports there is one at a time under one cache directory; others wait.
func StartEventing(ctx context.Context, c *Cluster) (_ *EventingServer, err error) {
	e := &EventingServer{cluster: c}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start Knative Eventing: %w", errors.Join(err, e.Stop()))
		}
	}()
	binaries, err := Build(append(componentNames(), "kube-controller-manager")...)
	if err != nil {
		return nil, err
	}
	if e.objects, err = dynamic.NewForConfig(c.Config); err != nil {
		return nil, err
	}
	if err := e.reserve(ctx); err != nil {
		return nil, err
	}
	controllerManager, err := c.StartControllerManager(ctx)
	if err != nil {
		return nil, err
	}
	e.processes = append(e.processes, controllerManager)

	var ports eventingPorts
	for _, port := range []*int{
		&ports.webhook, &ports.channelWebhook, &ports.ingress, &ports.ingressTLS, &ports.filter, &ports.filterTLS,
	} {
		if *port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	if err := e.install(ctx, ports); err != nil {
		return nil, err
	}
	e.ingress = loopback(ports.ingress)
	if e.names, err = serveNames(map[string]string{
		"broker-ingress." + systemNamespace + clusterDomain: e.ingress,
		"broker-filter." + systemNamespace + clusterDomain:  loopback(ports.filter),
		// Every channel has a Service of its own, in its own namespace, and all of them mean the dispatcher.
		"*" + clusterDomain: loopback(dispatcherPorts[0]),
	}); err != nil {
		return nil, err
	}
	for _, component := range components(ports) {
		if err := e.start(ctx, component, binaries[component.name]); err != nil {
			return nil, err
		}
	}
	return e, e.awaitWebhooks(ctx)
}

// Eventing is StartEventing for tests: it ends with the test.
func Eventing(t testing.TB, c *Cluster) *EventingServer {
	t.Helper()
	e, err := StartEventing(t.Context(), c)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		e.LogOnFailure(t)
	})
	return e
}

// Stop ends all processes by SIGKILL, since some of them would drain for 30 s, and lets the next one go ahead.
func (e *EventingServer) Stop() error {
	var errs []error
	for _, p := range slices.Backward(e.processes) {
		errs = append(errs, p.Kill())
	}
	if e.names != nil {
		errs = append(errs, e.names.close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

// LogOnFailure prints the ends of the components' logs when the test has failed so far.
func (e *EventingServer) LogOnFailure(t testing.TB) {
	t.Helper()
	for _, p := range e.processes {
		p.LogOnFailure(t)
	}
}

// ProxyURL is an HTTP proxy that knows the names of the cluster's Services.
func (e *EventingServer) ProxyURL() string { return e.names.url }

// Env is what a process of this machine needs, on top of its own environment, to reach the addresses that Knative hands
// out, like a K_SINK: they are names of the cluster's DNS, which nobody serves here.
func (e *EventingServer) Env() []string {
	// Clients leave out the proxy for loopback addresses by themselves; what else NO_PROXY says is the machine's.
	return []string{"HTTP_PROXY=" + e.names.url, "http_proxy=" + e.names.url, "NO_PROXY=", "no_proxy="}
}

// reserve takes the dispatcher's ports for this process.
func (e *EventingServer) reserve(ctx context.Context) error {
	home, err := Home()
	if err != nil {
		return err
	}
	if e.lock, err = os.OpenFile(filepath.Join(home, "eventing.lock"), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return fmt.Errorf("open the lock of Knative Eventing: %w", err)
	}
	locked, err := tryLock(e.lock)
	if err == nil && !locked {
		fmt.Fprintln(os.Stderr, "testbed: waiting for another process that runs Knative Eventing")
		err = lock(e.lock)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", e.lock.Name(), err)
	}
	// The dispatcher of a process that was just killed may take a moment to go.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return await(ctx, nil, "the ports of the channels' dispatcher", func(context.Context) error {
		for _, port := range dispatcherPorts {
			listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err != nil {
				return fmt.Errorf(
					"another program has port %d, which the dispatcher cannot do without; end that program: %w",
					port,
					err,
				)
			}
			if err := listener.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// start starts a component and waits for its port, if it has one to wait for.
func (e *EventingServer) start(ctx context.Context, c component, path string) error {
	kubeconfig, err := e.cluster.accountKubeconfig(ctx, systemNamespace, c.account)
	if err != nil {
		return err
	}
	env, err := e.componentEnv(c.name, kubeconfig)
	if err != nil {
		return err
	}
	p, err := StartProcess(Command{Name: c.name, Path: path, Env: append(env, c.env...), Dir: e.cluster.dir})
	if err != nil {
		return err
	}
	e.processes = append(e.processes, p)
	if c.port == 0 {
		return nil
	}
	return awaitReady(p, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(c.port))
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// awaitWebhooks waits until every admission webhook answers. Before that the API server has no certificate by which to
// trust it, and refuses what it would have to ask about.
func (e *EventingServer) awaitWebhooks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, kind := range []schema.GroupVersionResource{brokers, channels, pingSources} {
		if err := await(ctx, nil, "the webhooks of "+kind.Resource, func(ctx context.Context) error {
			return e.tryCreate(ctx, kind)
		}); err != nil {
			return err
		}
	}
	return nil
}

// stopped ends a process that did not become what it should, and joins the errors.
func stopped(p *Process, err error) error { return errors.Join(err, p.Kill()) }
