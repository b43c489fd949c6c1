//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// installation is a way to install Stormfold, and what a round has to know about it.
type installation struct {
	install   action
	again     action // The same installation once more. It has no name where that is a new revision.
	update    action // What makes a new revision.
	uninstall action

	pods  string // How many of the function run at least.
	token string // What a sender has to have, if anything.
	redis string // The namespace of Redis.
}

// action is something that an administrator does, and what a table calls it.
type action struct {
	name string
	do   func(ctx context.Context, n *node) error
}

// round are the steps for an installation, from its beginning to its end.
func (i installation) round() []step {
	var steps []step
	for _, s := range []step{
		{i.install.name, i.installed, true},
		{i.again.name, i.unchanged, false},
		{"15 alerts, 500, resolved, by the source's webhook", i.webhookStorm, false},
		{"network policies", i.reachability, false},
		{"burst at " + i.pods, burst, false},
		{"64 events of 2.9 MB at once", largeEvents, false},
		{"SIGKILL of Redis under load", i.redisKilled, false},
		{"SIGKILL of the function under load", functionKilled, false},
		{"all pods of the function deleted under load", podsDeleted, false},
		{i.update.name, i.rollingUpdate, false},
		{"Warning Events, about Stormfold itself and about others", warningEvents, false},
		{"burst from zero pods", burstFromZero, false},
		{i.uninstall.name, i.uninstalled, true},
	} {
		if s.name != "" {
			steps = append(steps, s)
		}
	}
	return steps
}

// trial is what docs/install.md says of a trial.
func trial() installation {
	apply := func(ctx context.Context, n *node) error {
		_, err := n.kubectl(ctx, "apply", "-k", n.deploy("trial"))
		return err
	}
	return installation{
		install:   action{"`kubectl apply -k deploy/trial`", apply},
		again:     action{"the same again", apply},
		update:    action{"new revision under load", annotate},
		uninstall: action{"`kubectl delete -k deploy/trial`", deleteTrial},
		pods:      "one pod", redis: namespace,
	}
}

// annotate changes nothing but the revision.
func annotate(ctx context.Context, n *node) error {
	return n.patch(ctx, "ksvc/stormfold", `{"spec":{"template":{"metadata":{"annotations":{"node.test/update":"1"}}}}}`)
}

func deleteTrial(ctx context.Context, n *node) error {
	_, err := n.kubectl(ctx, "delete", "-k", n.deploy("trial"), "--ignore-not-found", "--timeout=5m")
	return err
}

func (i installation) installed(ctx context.Context, n *node) (string, error) {
	if err := i.install.do(ctx, n); err != nil {
		return "", err
	}
	if err := n.allReady(ctx); err != nil {
		return "", err
	}
	// The pods that a SinkBinding replaces are gone by now, with their counts of restarts; the kubelet's Events are not.
	out, err := n.kubectl(
		ctx,
		"--namespace",
		namespace,
		"get",
		"events",
		"--field-selector=reason=BackOff",
		"--output=name",
	)
	if err != nil {
		return "", err
	}
	if out != "" {
		return "", errors.New("containers failed and were restarted until all was ready")
	}
	return "all ready, no container failed", nil
}

// workers are the kinds of everything that works in the namespace.
const workers = "ksvc,deployment,statefulset,trigger,broker,pingsource,apiserversource,sinkbinding"

// allReady waits until everything that works in the namespace is ready.
func (n *node) allReady(ctx context.Context) error {
	out, err := n.kubectl(ctx, "--namespace", namespace, "get", workers, "--output", "name")
	if err != nil {
		return err
	}
	return n.ready(ctx, strings.Fields(out)...)
}

func (i installation) unchanged(ctx context.Context, n *node) (string, error) {
	before, err := n.generations(ctx)
	if err != nil {
		return "", err
	}
	if err := i.again.do(ctx, n); err != nil {
		return "", err
	}
	after, err := n.generations(ctx)
	if err != nil {
		return "", err
	}
	if before != after {
		return "", fmt.Errorf("generations changed from\n%s to\n%s", before, after)
	}
	return "no generation changes", nil
}

func (i installation) uninstalled(ctx context.Context, n *node) (string, error) {
	if err := i.uninstall.do(ctx, n); err != nil {
		return "", err
	}
	out, err := n.kubectl(ctx, "get", "namespaces,crds,clusterroles,clusterrolebindings", "--output", "name")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "stormfold") && !strings.Contains(line, "stormfold-testbed") {
			return "", fmt.Errorf("%s is still there", strings.TrimSpace(line))
		}
	}
	return "nothing of it is left", nil
}
