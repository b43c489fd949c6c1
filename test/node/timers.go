//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/faults"
)

// timersPolicies write seldom and end soon.
const timersPolicies = `policies:
- name: timers
  match: ['alertname="Timers"']
  groupBy: [alertname]
  threshold: 5
  window: 1m
  quiet: 3m
  flush: {min: 1m, max: 1m}
- name: default
`

// toZero lets the function have no pod, and goes on when it has none. Without the tick and the cluster's Events nothing
// wakes it.
func (n *node) toZero(ctx context.Context) error {
	if err := n.tick(ctx, "0 0 1 1 *"); err != nil {
		return err
	}
	_, err := n.kubectl(
		ctx,
		"--namespace",
		namespace,
		"delete",
		"apiserversource/stormfold-kubernetes-events",
		"--ignore-not-found",
	)
	if err != nil {
		return err
	}
	const patch = `{"spec":{"template":{"metadata":{"annotations":{"autoscaling.knative.dev/min-scale":"0","autoscaling.knative.dev/window":"10s"}}}}}`
	if err := n.patch(ctx, "ksvc/stormfold", patch); err != nil {
		return err
	}
	return n.noPods(ctx)
}

func (n *node) tick(ctx context.Context, schedule string) error {
	return n.patch(ctx, "pingsource/stormfold-tick", fmt.Sprintf(`{"spec":{"schedule":%q}}`, schedule))
}

// trailingFlush: what was taken shortly after a write, and waits for the next interval, is written when the last pod
// goes.
func trailingFlush(ctx context.Context, n *node) (string, error) {
	if err := n.toZero(ctx); err != nil {
		return "", err
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"policies.yaml": timersPolicies}})
	if err != nil {
		return "", err
	}
	if err := n.patch(ctx, "configmap/stormfold-policies", string(patch)); err != nil {
		return "", err
	}
	l := load{name: "Timers", alerts: 15, groups: 1, senders: 1, url: functionURL, host: functionHost}
	if err := l.send(ctx, faults.NewJournal(), nil); err != nil {
		return "", err
	}
	if err := n.await(ctx, l.name, "Firing 15", "Firing 1"); err != nil {
		return "", err
	}
	l.alerts, l.first = 20, 15
	if err := l.send(ctx, faults.NewJournal(), nil); err != nil {
		return "", err
	}
	if err := n.noPods(ctx); err != nil {
		return "", err
	}
	return "20 alerts in the incident while no pod runs", n.await(ctx, l.name, "Firing 20")
}

// endByTick: a storm whose alerts are no longer reported ends by time alone; the tick starts the pod that writes it.
func endByTick(ctx context.Context, n *node) (string, error) {
	if err := n.tick(ctx, "* * * * *"); err != nil {
		return "", err
	}
	return "the storm is resolved, with reason Quiet", n.await(ctx, "Timers", "Resolved 20 Quiet")
}

// await waits until there is one incident of an alertname, in one of the states: state, number of alerts and, when it
// is over, the reason.
func (n *node) await(ctx context.Context, alertname string, states ...string) error {
	return eventually(ctx, 6*time.Minute, states[0], func(ctx context.Context) error {
		found, err := n.incidents(ctx, alertname)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("there are %d incidents", len(found))
		}
		status := found[0].Status
		got := fmt.Sprintf("%s %d", status.State, status.Alerts.Total)
		if status.State == v1alpha1.StateResolved {
			got += " " + apimeta.FindStatusCondition(status.Conditions, v1alpha1.ConditionResolved).Reason
		}
		for _, state := range states {
			if got == state {
				return nil
			}
		}
		return fmt.Errorf("it is %s", got)
	})
}
