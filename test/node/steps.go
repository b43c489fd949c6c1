//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// rounds are what a round can be about, each with its steps in their order.
var rounds = map[string][]step{
	"trial":   trial().round(),
	"release": slices.Concat(releaseFiles, chart().round(), manifest().short()),
	"func":    byFunc().round(),
	"hops":    hops(),
	"production": {
		{trial().install.name, trial().installed, true},
		{"alerts shortly before the last pod goes", trailingFlush, false},
		{"silence, no pod, and the tick", endByTick, false},
		{"from the trial to `deploy/production` with `deploy/redis/ha`, under load", toProduction, true},
		{"SIGKILL of Redis' master under load", masterKilled, false},
		{"Redis' master cut off from its replicas for 2 s and then lost with its pod, under load", failover, false},
		{"the same with `STORMFOLD_REDIS_WAIT_REPLICAS=1`", failoverWaiting, false},
		{"`kubectl delete -k` of all", installation{uninstall: action{do: deleteAll}}.uninstalled, true},
	},
}

func (i installation) webhookStorm(ctx context.Context, n *node) (string, error) {
	const name = "PodDown"
	holds, began := "one incident: of 15, of 500, resolved", time.Now().UTC()
	if i.token != "" {
		body, err := notification(name, 15, true, began)
		if err != nil {
			return "", err
		}
		if err := n.webhook(ctx, body, ""); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") {
			return "", fmt.Errorf("a webhook without the token, answered by: %w", err)
		}
		holds += "; without the token 401"
	}
	for _, s := range []struct {
		alerts int
		firing bool
		state  v1alpha1.State
	}{{15, true, v1alpha1.StateFiring}, {500, true, v1alpha1.StateFiring}, {500, false, v1alpha1.StateResolved}} {
		body, err := notification(name, s.alerts, s.firing, began)
		if err != nil {
			return "", err
		}
		if err := n.webhook(ctx, body, i.token); err != nil {
			return "", err
		}
		want := fmt.Sprintf("Storm %s %d", s.state, s.alerts)
		err = eventually(ctx, 2*time.Minute, "one incident: "+want, func(ctx context.Context) error {
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
	return holds, nil
}

// reachability: a Redis in another namespace is for others to protect.
func (i installation) reachability(ctx context.Context, n *node) (string, error) {
	const source, redis = "http://stormfold-source.stormfold.svc/healthz",
		"http://stormfold-redis-trial.stormfold.svc:6379/"
	type connection struct {
		from, url string
		want      bool
	}
	connections := []connection{{"monitoring", source, true}, {"elsewhere", source, false}}
	holds := "`monitoring` reaches the source, nobody else does"
	if i.redis == namespace {
		connections = append(connections, connection{"monitoring", redis, false}, connection{"elsewhere", redis, false})
		holds += ", and neither reaches Redis"
	}
	for _, c := range connections {
		got, err := n.reaches(ctx, c.from, c.url)
		if err != nil {
			return "", err
		}
		if got != c.want {
			return "", fmt.Errorf("from namespace %s to %s: reached is %v, want %v", c.from, c.url, got, c.want)
		}
	}
	return holds, nil
}

func burst(ctx context.Context, n *node) (string, error) {
	verdict, err := n.run(ctx, direct("Burst", 12000, 200), nil)
	if err == nil {
		err = onlyTaken(verdict, "503")
	}
	if err != nil {
		return "", err
	}
	restarts, err := n.restarts(ctx, namespace, functionPods)
	if err == nil && restarts > 0 {
		err = fmt.Errorf("containers of the function were restarted %d times", restarts)
	}
	return result(verdict) + "; no container restarted", err
}

func (i installation) redisKilled(ctx context.Context, n *node) (string, error) {
	l, err := n.viaBroker(ctx, "RedisKilled", 2000)
	if err != nil {
		return "", err
	}
	verdict, err := n.run(ctx, l, func(ctx context.Context) error {
		return n.kill(ctx, i.redis, redisPods, "redis")
	})
	if err != nil {
		return "", err
	}
	restarts, err := n.restarts(ctx, i.redis, redisPods)
	if err == nil && restarts != 1 {
		err = fmt.Errorf("the container was restarted %d times, want 1", restarts)
	}
	return result(verdict), err
}

func functionKilled(ctx context.Context, n *node) (string, error) {
	before, err := n.restarts(ctx, namespace, functionPods)
	if err != nil {
		return "", err
	}
	l := direct("FunctionKilled", 3000, 50)
	l.every = 5 * time.Millisecond
	verdict, err := n.run(ctx, l, func(ctx context.Context) error { return n.kill(ctx, namespace, functionPods, "user-container") })
	if err != nil {
		return "", err
	}
	after, err := n.restarts(ctx, namespace, functionPods)
	if err == nil && after <= before {
		err = errors.New("no container of the function was restarted")
	}
	return result(verdict), err
}

func podsDeleted(ctx context.Context, n *node) (string, error) {
	l := direct("PodsDeleted", 3000, 50)
	l.every = 5 * time.Millisecond
	verdict, err := n.run(ctx, l, func(ctx context.Context) error {
		_, err := n.kubectl(ctx, "--namespace", namespace, "delete", "pod", "--selector", functionPods, "--wait=false")
		return err
	})
	return result(verdict), err
}

func (i installation) rollingUpdate(ctx context.Context, n *node) (string, error) {
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
		if err := i.update.do(ctx, n); err != nil {
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
