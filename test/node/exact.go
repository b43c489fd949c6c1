//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/faults"
)

// direct is a load that goes to the function by the ingress, without a Broker.
func direct(name string, alerts, senders int) load {
	return load{name: name, alerts: alerts, groups: 16, senders: senders, url: functionURL, host: functionHost}
}

// result is what a table says of a load that was exact.
func result(v faults.Verdict) string {
	return fmt.Sprintf("%d events taken (answers: %s), each alert in exactly one incident", v.Events, answers(v))
}

func answers(v faults.Verdict) string {
	return strings.Join(slices.Sorted(maps.Keys(v.Answers)), ", ")
}

// onlyTaken fails when an answer was neither 2xx nor one of the codes.
func onlyTaken(v faults.Verdict, codes ...string) error {
	for answer, count := range v.Answers {
		code, _, _ := strings.Cut(answer, " ")
		if !strings.HasPrefix(code, "2") && !slices.Contains(codes, code) {
			return fmt.Errorf("%d times the answer was %s", count, answer)
		}
	}
	return nil
}

// send sends a load. At is done once, when a third of the events has been taken.
func (n *node) send(ctx context.Context, l load, journal *faults.Journal, at func(context.Context) error) error {
	done := make(chan error, 1)
	err := l.send(ctx, journal, func(taken int) {
		if taken == l.alerts/3 {
			go func() { done <- at(ctx) }()
		}
	})
	if err != nil {
		return err
	}
	return <-done
}

// run sends a load and waits until it is exact. At, when it is not nil, is done meanwhile.
func (n *node) run(ctx context.Context, l load, at func(context.Context) error) (faults.Verdict, error) {
	if at == nil {
		at = func(context.Context) error { return nil }
	}
	journal := faults.NewJournal()
	if err := n.send(ctx, l, journal, at); err != nil {
		return faults.Verdict{}, err
	}
	return n.exact(ctx, l, journal)
}

// address is that of a Service.
func (n *node) address(ctx context.Context, namespace, service string) (string, error) {
	return n.kubectl(
		ctx,
		"--namespace",
		namespace,
		"get",
		"service",
		service,
		"--output",
		"jsonpath={.spec.clusterIP}",
	)
}

// viaBroker is a load that goes to the Broker.
func (n *node) viaBroker(ctx context.Context, name string, alerts int) (load, error) {
	address, err := n.address(ctx, eventing.namespace, "broker-ingress")
	return load{
		name: name, alerts: alerts, groups: 16, senders: 50, every: 10 * time.Millisecond, url: "http://" + address +
			"/stormfold/stormfold",
		host: "broker-ingress.knative-eventing.svc.cluster.local",
	}, err
}

// incidents are those of the namespace whose group has the alertname.
func (n *node) incidents(ctx context.Context, alertname string) ([]v1alpha1.Incident, error) {
	resource := v1alpha1.SchemeGroupVersion.WithResource("incidents")
	list, err := n.dynamic.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var found []v1alpha1.Incident
	for _, item := range list.Items {
		var in v1alpha1.Incident
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &in); err != nil {
			return nil, err
		}
		if in.Spec.GroupLabels["alertname"] == alertname || alertname == "" {
			found = append(found, in)
		}
	}
	return found, nil
}

// exact waits until the incidents of a load are those of its journal: every accepted alert in exactly one, by its
// members.
func (n *node) exact(ctx context.Context, l load, j *faults.Journal) (faults.Verdict, error) {
	var verdict faults.Verdict
	err := eventually(ctx, 3*time.Minute, "exact incidents", func(ctx context.Context) error {
		found, err := n.incidents(ctx, l.name)
		if err != nil {
			return err
		}
		verdict = faults.Check(j, found)
		if err := verdict.Err(); err != nil {
			return err
		}
		if verdict.Alerts != l.alerts {
			return fmt.Errorf("%d of %d alerts were accepted", verdict.Alerts, l.alerts)
		}
		return nil
	})
	return verdict, err
}
