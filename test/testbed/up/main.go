// Command up runs the testbed for people: a Kubernetes API server with Stormfold's namespace, CRD and RBAC, Redis and,
// when it is given a configuration, an Alertmanager; Knative Eventing when it is asked for. It prints what to set in a
// shell and runs until it is interrupted.
//
//	go run ./test/testbed/up                          # start, print, wait for Ctrl-C
//	go run ./test/testbed/up -alertmanager FILE.yml   # with an Alertmanager
//	go run ./test/testbed/up -eventing                # with Knative Eventing
//	go run ./test/testbed/up -build                   # only build and install what the tests need
//	go run ./test/testbed/up -build func kubectl      # only these of it
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/stormfold/stormfold/test/testbed"
)

func main() {
	build := flag.Bool("build", false, "only build and install the servers, or those that are named")
	config := flag.String("alertmanager", "", "start an Alertmanager with this configuration `file`")
	eventing := flag.Bool("eventing", false, "start Knative Eventing")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := func() error { return up(ctx, os.Stdout, *config, *eventing) }
	if *build {
		run = func() error { return prepare(os.Stdout, flag.Args()) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(1)
	}
}

// prepare makes sure that the named servers are there, without a name all, and prints where.
func prepare(out io.Writer, names []string) error {
	var build, install []string
	for _, name := range names {
		if slices.Contains(testbed.Programs(), name) {
			install = append(install, name)
		} else {
			build = append(build, name)
		}
	}
	if len(names) == 0 {
		build, install = testbed.Binaries(), testbed.Programs()
	}
	built, err := testbed.Build(build...)
	if err != nil {
		return err
	}
	var paths []string
	for _, name := range build {
		paths = append(paths, built[name])
	}
	for _, name := range install {
		path, err := testbed.Program(name)
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		if _, err := fmt.Fprintln(out, path); err != nil {
			return err
		}
	}
	return nil
}

// up starts the servers, prints how to reach them, and stops them when the context is done.
func up(ctx context.Context, out io.Writer, alertmanagerConfig string, withEventing bool) (err error) {
	dir, err := os.MkdirTemp("", "stormfold-up-")
	if err != nil {
		return fmt.Errorf("create a directory for the servers: %w", err)
	}
	closers := []func() error{func() error { return os.RemoveAll(dir) }}
	defer func() {
		for _, closer := range slices.Backward(closers) {
			err = errors.Join(err, closer())
		}
	}()

	cluster, err := testbed.StartControlPlane(dir)
	if err != nil {
		return err
	}
	closers = append(closers, cluster.Stop)
	// Ready for a function: make func-run needs nothing else.
	if err := cluster.ApplyPaths(ctx, "deploy/namespace", "deploy/crd", "deploy/rbac"); err != nil {
		return fmt.Errorf("apply deploy/ (this is run from the project's root): %w", err)
	}
	redis, err := testbed.StartRedis(dir)
	if err != nil {
		return err
	}
	closers = append(closers, redis.Close)
	kubectl, err := testbed.Binary("kubectl")
	if err != nil {
		return err
	}
	lines := fmt.Sprintf("export KUBECONFIG=%s\nexport STORMFOLD_REDIS_URL=%s\nexport PATH=%s:\"$PATH\"\n",
		cluster.KubeconfigPath, redis.URL, filepath.Dir(kubectl))

	if alertmanagerConfig != "" {
		alertmanager, err := startAlertmanager(dir, alertmanagerConfig)
		if err != nil {
			return err
		}
		closers = append(closers, alertmanager.Kill)
		lines += fmt.Sprintf("export ALERTMANAGER_URL=%s\n", alertmanager.URL)
	}
	if withEventing {
		eventing, err := testbed.StartEventing(ctx, cluster)
		if err != nil {
			return err
		}
		closers = append(closers, eventing.Stop)
		// What a process needs that is given a K_SINK, and where a Broker is for those that are not.
		lines += fmt.Sprintf(
			"export HTTP_PROXY=%s\nexport BROKER_URL=%s\n",
			eventing.ProxyURL(),
			eventing.BrokerURL("stormfold", "stormfold"),
		)
	}
	if _, err := fmt.Fprint(out, lines); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "testbed: running, logs in %s; Ctrl-C stops it\n", dir)
	<-ctx.Done()
	return nil
}

func startAlertmanager(dir, configFile string) (*testbed.AlertmanagerServer, error) {
	config, err := os.ReadFile(configFile)
	if err != nil {
		return nil, fmt.Errorf("read Alertmanager's configuration: %w", err)
	}
	return testbed.StartAlertmanager(dir, string(config))
}
