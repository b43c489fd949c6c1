//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// step is one line of the table.
type step struct {
	name string
	// holds says what was asserted when it does not fail. A step without it is no line.
	do func(ctx context.Context, n *node) (holds string, err error)
	// always is true for a step that is done also when only others are chosen: they need it.
	always bool
}

// chosen are the steps whose name matches, with those before them that are always done.
func chosen(steps []step, names string) ([]step, error) {
	match, err := regexp.Compile(names)
	if err != nil {
		return nil, fmt.Errorf("-steps: %w", err)
	}
	last := -1
	for i, s := range steps {
		if match.MatchString(s.name) {
			last = i
		}
	}
	if last < 0 {
		return nil, fmt.Errorf("-steps: no step matches %s", names)
	}
	return slices.DeleteFunc(slices.Clone(steps[:last+1]), func(s step) bool {
		return !s.always && !match.MatchString(s.name)
	}), nil
}

// row is what is written of a step.
type row struct{ Name, Holds string }

// round runs inside the namespaces: it starts the node and goes through the steps.
func round(ctx context.Context, planFile string) error {
	content, err := os.ReadFile(planFile)
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(content, &p); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%4.0f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	logs, err := os.Create(filepath.Join(p.Dir, "round.log"))
	if err != nil {
		return err
	}
	defer logs.Close()
	log.SetOutput(logs)

	if err := setUpMachine(p.Dir); err != nil {
		return err
	}
	n, err := startNode(ctx, p)
	if err != nil {
		return err
	}
	say("the node is ready")
	for _, start := range []func(context.Context) error{
		func(ctx context.Context) error { return n.install(ctx, serving) },
		n.startIngress,
		func(ctx context.Context) error { return n.install(ctx, eventing) },
		n.startPolicies,
		n.startClient,
	} {
		if err := start(ctx); err != nil {
			return errors.Join(err, n.describe(ctx))
		}
	}
	say("Knative Serving and Eventing are ready")
	if p.Stay {
		if _, err := trial().installed(ctx, n); err != nil {
			return errors.Join(err, n.describe(ctx))
		}
		say("Stormfold is ready; in the node: nsenter -t %s -a %s --kubeconfig %s get pods -A", "PID of `node round`",
			p.Programs["kubectl"], n.cluster.KubeconfigPath)
		<-ctx.Done()
		return nil
	}
	var rows []row
	steps, err := chosen(rounds[p.Round], p.Steps)
	if err != nil {
		return err
	}
	for _, s := range steps {
		holds, err := s.do(ctx, n)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s.name, err), n.describe(ctx))
		}
		say("%s: %s", s.name, holds)
		if holds != "" {
			rows = append(rows, row{s.name, holds})
		}
	}
	return writeRows(p.Dir, rows)
}

// describe prints what the cluster looks like, for a round that failed.
func (n *node) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"-n", namespace, "get", "ksvc,revision,broker,trigger,sinkbinding,pingsource,apiserversource"},
		{"-n", namespace, "get", "incidents"},
		{"-n", namespace, "get", "events", "--sort-by=.lastTimestamp"},
		{"-n", namespace, "logs", "-l", functionPods, "-c", "user-container", "--tail=40"},
		{"-n", namespace, "logs", "-l", "app.kubernetes.io/component=source", "--tail=20"},
	} {
		out, err := n.kubectl(ctx, args...)
		if len(out) > 12000 {
			out = out[len(out)-12000:]
		}
		fmt.Printf("--- kubectl %v\n%s", args, out)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
