//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// rounds are what a round can be about, each with its steps in their order.
var rounds = map[string][]step{
	"trial": {
		{"`kubectl apply -k deploy/trial`", install},
		{"the same again", installAgain},
		{"15 alerts, 500, resolved, by the source's webhook", webhookStorm},
		{"network policies", reachability},
		{"burst at one pod", burst},
		{"SIGKILL of Redis under load", redisKilled},
		{"SIGKILL of the function under load", functionKilled},
		{"the pod deleted under load", podDeleted},
		{"new revision under load", rollingUpdate},
		{"Warning Events, about Stormfold itself and about others", warningEvents},
		{"burst from zero pods", burstFromZero},
		{"`kubectl delete -k deploy/trial`", uninstall},
	},
	"production": {
		{"`kubectl apply -k deploy/trial`", install},
		{"alerts shortly before the last pod goes", trailingFlush},
		{"silence, no pod, and the tick", endByTick},
		{"the Service of `func deploy`", funcService},
		{"from the trial to `deploy/production` with `deploy/redis/ha`, under load", toProduction},
		{"failover of Redis under load", failover},
		{"the same with `STORMFOLD_REDIS_WAIT_REPLICAS=1`", failoverWaiting},
		{"`kubectl delete -k` of all", uninstall},
	},
}

func install(ctx context.Context, n *node) (string, error) {
	if err := n.installTrial(ctx); err != nil {
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

func installAgain(ctx context.Context, n *node) (string, error) {
	before, err := n.generations(ctx)
	if err != nil {
		return "", err
	}
	if _, err := n.kubectl(ctx, "apply", "-k", n.deploy("trial")); err != nil {
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

func webhookStorm(ctx context.Context, n *node) (string, error) {
	const name = "PodDown"
	began := time.Now().UTC()
	for _, s := range []struct {
		alerts int
		firing bool
		state  v1alpha1.State
	}{{15, true, v1alpha1.StateFiring}, {500, true, v1alpha1.StateFiring}, {500, false, v1alpha1.StateResolved}} {
		if err := n.webhook(ctx, name, s.alerts, s.firing, began); err != nil {
			return "", err
		}
		want := fmt.Sprintf("Storm %s %d", s.state, s.alerts)
		err := eventually(ctx, 2*time.Minute, "one incident: "+want, func(ctx context.Context) error {
			found, err := n.incidents(ctx, "")
			if err != nil {
				return err
			}
			var got []string
			for _, in := range found {
				if in.Spec.GroupLabels["namespace"] == "shop" {
					got = append(got, fmt.Sprintf("%s %s %d", in.Status.Type, in.Status.State, in.Status.Alerts.Total))
				}
			}
			if !slices.Equal(got, []string{want}) {
				return fmt.Errorf("there are %v", got)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return "one incident: of 15, of 500, resolved", nil
}

func reachability(ctx context.Context, n *node) (string, error) {
	const source, redis = "http://stormfold-source.stormfold.svc/healthz",
		"http://stormfold-redis-trial.stormfold.svc:6379/"
	for _, c := range []struct {
		from, url string
		want      bool
	}{{"monitoring", source, true}, {"elsewhere", source, false}, {"monitoring", redis, false}} {
		got, err := n.reaches(ctx, c.from, c.url)
		if err != nil {
			return "", err
		}
		if got != c.want {
			return "", fmt.Errorf("from namespace %s to %s: reached is %v, want %v", c.from, c.url, got, c.want)
		}
	}
	return "`monitoring` reaches the source, nobody else does, and neither reaches Redis", nil
}

func burst(ctx context.Context, n *node) (string, error) {
	verdict, err := n.run(ctx, direct("Burst", 12000, 200), nil)
	if err == nil {
		err = onlyTaken(verdict, "503")
	}
	if err != nil {
		return "", err
	}
	restarts, err := n.restarts(ctx, functionPods)
	if err == nil && restarts > 0 {
		err = fmt.Errorf("containers of the function were restarted %d times", restarts)
	}
	return result(verdict) + "; no container restarted", err
}

func redisKilled(ctx context.Context, n *node) (string, error) {
	l, err := n.viaBroker(ctx, "RedisKilled", 2000)
	if err != nil {
		return "", err
	}
	verdict, err := n.run(ctx, l, func(ctx context.Context) error {
		return n.kill(ctx, "app.kubernetes.io/component=redis", "redis")
	})
	if err != nil {
		return "", err
	}
	restarts, err := n.restarts(ctx, "app.kubernetes.io/component=redis")
	if err == nil && restarts != 1 {
		err = fmt.Errorf("the container was restarted %d times, want 1", restarts)
	}
	return result(verdict), err
}

func functionKilled(ctx context.Context, n *node) (string, error) {
	before, err := n.restarts(ctx, functionPods)
	if err != nil {
		return "", err
	}
	l := direct("FunctionKilled", 3000, 50)
	l.every = 5 * time.Millisecond
	verdict, err := n.run(ctx, l, func(ctx context.Context) error { return n.kill(ctx, functionPods, "user-container") })
	if err != nil {
		return "", err
	}
	after, err := n.restarts(ctx, functionPods)
	if err == nil && after <= before {
		err = errors.New("no container of the function was restarted")
	}
	return result(verdict), err
}

func podDeleted(ctx context.Context, n *node) (string, error) {
	l := direct("PodDeleted", 3000, 50)
	l.every = 5 * time.Millisecond
	verdict, err := n.run(ctx, l, func(ctx context.Context) error {
		_, err := n.kubectl(ctx, "--namespace", namespace, "delete", "pod", "--selector", functionPods, "--wait=false")
		return err
	})
	return result(verdict), err
}

func rollingUpdate(ctx context.Context, n *node) (string, error) {
	revision := func() (string, error) {
		return n.kubectl(
			ctx,
			"--namespace",
			namespace,
			"get",
			"ksvc/stormfold",
			"--output",
			"jsonpath={.status.latestReadyRevisionName}",
		)
	}
	before, err := revision()
	if err != nil {
		return "", err
	}
	l := direct("RollingUpdate", 4000, 50)
	l.every = 5 * time.Millisecond
	verdict, err := n.run(ctx, l, func(ctx context.Context) error {
		if err := n.patch(ctx, "ksvc/stormfold",
			`{"spec":{"template":{"metadata":{"annotations":{"node.test/update":"1"}}}}}`); err != nil {
			return err
		}
		return eventually(ctx, 4*time.Minute, "another ready revision", func(context.Context) error {
			after, err := revision()
			if err == nil && after == before {
				err = errors.New(before + " is still the latest")
			}
			return err
		})
	})
	return result(verdict), err
}

// warningEvents: a Warning Event makes an incident, unless it is about Stormfold's own objects, of which there were
// many by now.
func warningEvents(ctx context.Context, n *node) (string, error) {
	event := map[string]any{
		"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "client.1", "namespace": "elsewhere"},
		"type":   "Warning",
		"reason": "NodeTest", "message": "a round is on its way", "lastTimestamp": time.Now().UTC().Format(time.RFC3339),
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "client", "namespace": "elsewhere"},
	}
	if err := n.apply(ctx, event); err != nil {
		return "", err
	}
	return "about others an incident, about itself none", eventually(
		ctx,
		time.Minute,
		"the incident of a Warning Event",
		func(ctx context.Context) error {
			found, err := n.incidents(ctx, "")
			if err != nil {
				return err
			}
			other := false
			for _, in := range found {
				switch in.Spec.GroupLabels["namespace"] {
				case "elsewhere":
					other = true
				case namespace:
					return fmt.Errorf("%s is about Stormfold itself", in.Name)
				}
			}
			if !other {
				return errors.New("there is none yet")
			}
			return nil
		},
	)
}

func burstFromZero(ctx context.Context, n *node) (string, error) {
	if err := n.toZero(ctx); err != nil {
		return "", err
	}
	verdict, err := n.run(ctx, direct("FromZero", 12000, 200), nil)
	if err == nil {
		err = onlyTaken(verdict, "503")
	}
	return result(verdict), err
}

func uninstall(ctx context.Context, n *node) (string, error) {
	if _, err := n.kubectl(ctx, "delete", "-k", n.deploy("trial"), "--ignore-not-found", "--timeout=5m"); err != nil {
		return "", err
	}
	if dir := n.file("production"); isDirectory(dir) {
		if _, err := n.kubectl(ctx, "delete", "-k", dir, "--ignore-not-found", "--timeout=5m"); err != nil {
			return "", err
		}
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

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
