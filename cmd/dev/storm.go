package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/handlers"
)

// stormAlerts is the number of alerts that dev storm sends at once, each as its own event.
const stormAlerts = 15

// stormLabels are the labels that all of them share.
var stormLabels = map[string]string{
	"alertname": "KubePodCrashLooping", "cluster": "demo", "namespace": "shop", "container": "app",
}

// others are the labels of the i-th alert that differ: most pods run on one node, and two of three alerts are critical.
func others(i int) map[string]string {
	out := map[string]string{"pod": "checkout-7d9f8b6c5d-" + podSuffixes[i], "node": "worker-3", "severity": "critical"}
	if i%3 == 2 {
		out["severity"] = "warning"
	}
	if i%5 > 2 {
		out["node"] = fmt.Sprintf("worker-%d", i%5-2)
	}
	return out
}

// storm sends the alerts of fifteen pods of a bad rollout at once. If they already fire, it sends their resolutions.
func storm(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	incident := s.lastStorm(ctx)
	firing := incident == nil || incident.Status.State != v1alpha1.StateFiring
	began := time.Now()
	startsAt := began
	if !firing && incident.Status.StartedAt != nil {
		startsAt = incident.Status.StartedAt.Time
	}
	errs := make([]error, stormAlerts)
	var all sync.WaitGroup
	for i := range stormAlerts {
		all.Go(func() { errs[i] = s.send(ctx, alert(i, firing, startsAt)) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	fmt.Print(s.stormSent(incident, firing, time.Since(began)))
	return nil
}

// lastStorm is the newest incident of earlier alerts of dev storm, nil if there is none or it cannot be read.
func (s settings) lastStorm(ctx context.Context) *v1alpha1.Incident {
	incidents, err := s.incidents()
	if err != nil {
		return nil
	}
	list, err := incidents.List(ctx, s.namespace, metav1.ListOptions{
		LabelSelector: v1alpha1.LabelAlertName + "=" + stormLabels["alertname"],
	})
	if err != nil {
		return nil
	}
	var newest *v1alpha1.Incident
	for n, i := range list.Items {
		ours := i.Status.CommonLabels["cluster"] == stormLabels["cluster"] && i.Status.State != v1alpha1.StateAbsorbed
		if ours && (newest == nil || newest.Status.StartedAt.Before(i.Status.StartedAt)) {
			newest = &list.Items[n]
		}
	}
	return newest
}

// alert is the alert of the i-th pod, as Prometheus would send it.
func alert(i int, firing bool, startsAt time.Time) map[string]any {
	labels := others(i)
	maps.Copy(labels, stormLabels)
	set := model.LabelSet{}
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	status, endsAt := "firing", time.Time{}
	if !firing {
		status, endsAt = "resolved", time.Now()
	}
	return map[string]any{
		"status": status, "labels": labels, "fingerprint": set.Fingerprint().String(),
		"annotations": map[string]string{
			"summary":     "A pod of checkout is crash looping.",
			"runbook_url": "https://runbooks.example.com/KubePodCrashLooping",
		},
		"startsAt": startsAt.UTC().Format(time.RFC3339Nano), "endsAt": endsAt.UTC().Format(time.RFC3339Nano),
	}
}

var podSuffixes = [stormAlerts]string{
	"2bxkq", "4fzdm", "5hgtr", "6jqwv", "7kcns", "8lpxb", "9mtzf", "bn2dg", "cq4hj", "dr5kl", "fs6mp", "gt7qr", "hv8st",
	"jw9vw", "kx2bc",
}

// send delivers one alert as a CloudEvent in binary mode.
func (s settings) send(ctx context.Context, alert map[string]any) error {
	body, err := json.Marshal(alert)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.listen, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": handlers.TypeAlert,
		"Ce-Source": "/dev/storm", "Ce-Id": uuid.NewString(), "Ce-Time": time.Now().UTC().Format(time.RFC3339Nano),
	} {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("no function takes events at %s; start make run in another terminal: %w", s.listen, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", s.listen, response.Status)
	}
	return nil
}
