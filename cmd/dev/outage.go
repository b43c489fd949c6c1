package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// downNode is the node that dev outage takes down.
const downNode = "worker-7"

// downPods are the pods on it, as namespace and pod.
var downPods = [][2]string{
	{"shop", "wishlist-7d9f8b6c5d-2bxkq"}, {"shop", "cart-6c5d7f9b8d-4fzdm"}, {"orders", "orders-5b6c7d8f9b-5hgtr"},
	{"payments", "ledger-0"}, {"search", "search-8f9b6c5d7d-6jqwv"}, {"mail", "mailer-9b8d7c6f5d-7kcns"},
	{"billing", "invoices-6f5d9b8c7d-8lpxb"}, {"kube-system", "kube-proxy-9mtzf"}, {"monitoring", "node-exporter-bn2dg"},
}

// outage sends the alerts of a node that goes down: one of the node, and one of each pod on it. If they already fire,
// it sends their resolutions.
func outage(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	began := time.Now()
	status, startsAt, next := "firing", began, "resolves them"
	if since := s.outageSince(ctx); since != nil {
		status, startsAt, next = "resolved", since.Time, "fires them again, which reopens the incidents"
	}
	alerts := []map[string]any{nodeAlert(status, startsAt, map[string]string{"alertname": "KubeNodeNotReady", "node": downNode})}
	for _, pod := range downPods {
		alerts = append(alerts, nodeAlert(status, startsAt, map[string]string{
			"alertname": "KubePodNotReady", "namespace": pod[0], "pod": pod[1],
		}))
	}
	errs := make([]error, len(alerts))
	var all sync.WaitGroup
	for i := range alerts {
		all.Go(func() { errs[i] = s.send(ctx, alerts[i]) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	fmt.Printf("Sent %d %s alerts in %d ms; all were accepted.\n", len(alerts), status, time.Since(began).Milliseconds())
	if status == "firing" {
		fmt.Printf("make run shows %d incidents, and within a few seconds one Outage of node %s that joins them.\n",
			len(alerts), downNode)
	} else {
		fmt.Println("make run shows that the Outage is Resolved.")
	}
	fmt.Printf("\nNext:\n\n  make outage  # %s\n  %s\n", next, s.treeCommand())
	return nil
}

// outageSince is when the firing outage of the node began, nil if there is none or it cannot be read.
func (s settings) outageSince(ctx context.Context) *metav1.Time {
	incidents, err := s.incidents()
	if err != nil {
		return nil
	}
	list, err := incidents.List(ctx, s.namespace, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	for _, i := range list.Items {
		if i.Status.Type == v1alpha1.TypeOutage && i.Status.State == v1alpha1.StateFiring &&
			i.Spec.GroupLabels["node"] == downNode {
			return i.Status.StartedAt
		}
	}
	return nil
}

// nodeAlert is an alert of kube-state-metrics, with the node that alertmanager-source would look up.
func nodeAlert(status string, startsAt time.Time, labels map[string]string) map[string]any {
	labels["cluster"], labels["job"], labels["severity"] = "demo", "kube-state-metrics", "warning"
	set := model.LabelSet{}
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	endsAt := time.Time{}
	if status != "firing" {
		endsAt = time.Now()
	}
	return map[string]any{
		"status": status, "labels": labels, "fingerprint": set.Fingerprint().String(),
		"lookups":     map[string]string{"node": downNode},
		"annotations": map[string]string{"summary": "Not ready for 15 minutes."},
		"startsAt":    startsAt.UTC().Format(time.RFC3339Nano), "endsAt": endsAt.UTC().Format(time.RFC3339Nano),
	}
}
