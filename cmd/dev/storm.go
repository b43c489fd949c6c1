package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/model"

	"github.com/stormfold/stormfold/handlers"
)

// stormAlerts is how many alerts dev storm sends, each as an event of its own, all at once.
const stormAlerts = 15

// storm sends alerts of fifteen pods of one bad rollout at once, and says how they were answered.
func storm(ctx context.Context) error {
	began := time.Now()
	errs := make([]error, stormAlerts)
	var all sync.WaitGroup
	for i := range stormAlerts {
		all.Go(func() { errs[i] = send(ctx, alert(i)) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	fmt.Printf("sent %d alerts in %d ms, all accepted; the terminal of make run shows what became of them:\n"+
		"an incident is opened at once, and within a second it is a storm of %d\n",
		stormAlerts, time.Since(began).Milliseconds(), stormAlerts)
	return nil
}

// alert is one as Prometheus would send it, of the i-th pod.
func alert(i int) map[string]any {
	labels := map[string]string{
		"alertname": "KubePodCrashLooping", "cluster": "demo", "namespace": "shop", "severity": "critical",
		"pod": fmt.Sprintf("checkout-7d9f8b6c5d-%s", podSuffixes[i%len(podSuffixes)]), "container": "app",
	}
	set := make(model.LabelSet, len(labels))
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return map[string]any{
		"status": "firing", "labels": labels, "fingerprint": set.Fingerprint().String(),
		"annotations": map[string]string{"summary": "A pod of the checkout is crash looping."},
		"startsAt":    time.Now().UTC().Format(time.RFC3339Nano), "endsAt": "0001-01-01T00:00:00Z",
	}
}

var podSuffixes = []string{
	"2bxkq", "4fzdm", "5hgtr", "6jqwv", "7kcns", "8lpxb", "9mtzf", "bn2dg", "cq4hj", "dr5kl", "fs6mp", "gt7qr", "hv8st", "jw9vw", "kx2bc",
}

// send delivers one alert as a CloudEvent in binary mode.
func send(ctx context.Context, alert map[string]any) error {
	body, err := json.Marshal(alert)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+listenAddress(), bytes.NewReader(body))
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
		return fmt.Errorf("nobody takes events at %s; start make run in another terminal: %w", listenAddress(), err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", listenAddress(), response.Status)
	}
	return nil
}
