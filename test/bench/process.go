package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/test/testbed"
)

// process is a running function.
type process struct {
	*testbed.Process
	addr string
}

func (p *process) target() target { return target{addrs: []string{p.addr}, path: "/"} }

// start starts a program that serves events and returns when it is ready.
func (b *bed) start(ctx context.Context, path string, env []string, args ...string) (*process, error) {
	p, err := b.spawn(path, env, args...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

func (b *bed) spawn(path string, env []string, args ...string) (*process, error) {
	port, err := testbed.FreePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p, err := testbed.StartProcess(testbed.Command{
		Name: filepath.Base(
			path,
		) + "-" + strconv.Itoa(
			port,
		), Path: path, Args: args, Dir: b.dir, Env: append([]string{"LISTEN_ADDRESS=" + addr}, env...),
	})
	return &process{Process: p, addr: addr}, err
}

// ready waits for func-go's readiness.
func (p *process) ready(ctx context.Context) error {
	for {
		response, err := http.Get("http://" + p.addr + "/health/readiness")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a function to be ready: %w", err)
		case <-p.Done():
			log, _ := p.Log()
			return fmt.Errorf("a function ended at its start:\n%s", log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// noopFunction starts the function that does nothing.
func (b *bed) noopFunction(ctx context.Context, args ...string) (*process, error) {
	return b.start(ctx, b.noop, nil, args...)
}

// fresh empties Redis and makes a namespace, so that nothing of what was measured before is still being written.
func (b *bed) fresh(ctx context.Context) (namespace string, err error) {
	if err := b.client.FlushAll(ctx).Err(); err != nil {
		return "", fmt.Errorf("emptying Redis: %w", err)
	}
	created, err := b.cluster.Client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("making a namespace: %w", err)
	}
	return created.Name, nil
}

// settings are the environment of a function.
func (b *bed) settings(namespace string) []string {
	return []string{
		"STORMFOLD_METRICS_ADDRESS=off", "STORMFOLD_REDIS_URL=" + b.redis.URL, "STORMFOLD_NAMESPACE=" + namespace,
		"STORMFOLD_POLICIES=" + filepath.Join(b.dir, "policies.yaml"), "KUBECONFIG=" + b.cluster.KubeconfigPath,
	}
}

// functions starts so many functions on an empty Redis and in a namespace of their own.
func (b *bed) functions(ctx context.Context, n int) (all pods, err error) {
	namespace, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	for range n {
		p, err := b.start(ctx, b.stormfold, b.settings(namespace))
		if err != nil {
			return nil, errors.Join(err, all.kill())
		}
		all = append(all, p)
	}
	return all, nil
}

// pods are functions that share a Redis.
type pods []*process

func (p pods) target() target {
	t := target{path: "/"}
	for _, one := range p {
		t.addrs = append(t.addrs, one.addr)
	}
	return t
}

// kill ends them without any last writing, which would go on while the next thing is measured.
func (p pods) kill() error {
	var errs []error
	for _, one := range p {
		errs = append(errs, one.Kill())
	}
	return errors.Join(errs...)
}

// statusOf reads a figure of /proc/PID/status in MiB.
func statusOf(pid int, name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of a process: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				return 0, fmt.Errorf("reading %s of a process: %w", name, err)
			}
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("the system does not tell %s of a process", name)
}
