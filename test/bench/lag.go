package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

const (
	// lagGroups is in how many groups the lag is measured, lagAlerts after how many alerts: then the storm has begun.
	lagGroups, lagAlerts = 100, 8
	// lagPause is between two groups.
	lagPause = 150 * time.Millisecond
	// lagSpread is by how much the last alert comes behind the others, at most: each group has another part of it, so that
	// all moments of a flush interval are there.
	lagSpread = 2 * time.Second
)

// lag measures the time from the 2xx of a group's last alert until a watch shows an incident with all of them.
func (b *bed) lag(ctx context.Context) (out outcome, err error) {
	out = outcome{
		row:  rowOf("lag"),
		Note: fmt.Sprintf("%d groups with a flush interval of %s s", lagGroups, number(flushInterval)),
	}
	namespace, err := b.fresh(ctx)
	if err != nil {
		return out, err
	}
	f, err := b.start(ctx, b.stormfold, b.settings(namespace))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, f.Kill()) }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	shown, err := b.watch(ctx, namespace)
	if err != nil {
		return out, err
	}
	answered := make([]time.Time, lagGroups)
	sent := make(chan error, 1)
	go func() {
		sent <- atOnce(lagGroups, func(i int) error {
			time.Sleep(time.Duration(i) * lagPause)
			at, err := f.storm(newStream(fmt.Sprintf("Lag%d", i), 1), lagSpread*time.Duration(i)/lagGroups)
			answered[i] = at
			return err
		})
	}()
	seen := map[string]time.Time{}
	for len(seen) < lagGroups {
		select {
		case <-ctx.Done():
			return out, fmt.Errorf("%d of %d groups were shown whole: %w", len(seen), lagGroups, ctx.Err())
		case one := <-shown:
			if _, before := seen[one.alertname]; !before {
				seen[one.alertname] = one.at
			}
		}
	}
	if err := <-sent; err != nil {
		return out, err
	}
	var lags []float64
	for i := range lagGroups {
		name := newStream(fmt.Sprintf("Lag%d", i), 1).alertname(0)
		lags = append(lags, max(0, seen[name].Sub(answered[i]).Seconds()))
	}
	out.Rounds = []sample{{quantile(lags, 0.99), flushInterval}}
	out.Note += fmt.Sprintf("; p50 %s s", number(quantile(lags, 0.5)))
	progress("lag: p99 %s s, p50 %s s", number(out.measured()), number(quantile(lags, 0.5)))
	return out, nil
}

// storm sends the alerts of one group, the last of them later than the others, and returns when it was answered.
func (p *process) storm(s stream, later time.Duration) (time.Time, error) {
	c, err := dial(p.addr, "/", s.name)
	if err != nil {
		return time.Time{}, err
	}
	events := func(b []byte, n int) ([]byte, string) {
		body, eventType := s.singles()(b, n)
		return bytes.Replace(body, []byte(`"namespace":"shop"`), []byte(`"namespace":"lag"`), 1), eventType
	}
	for n := range lagAlerts {
		if n == lagAlerts-1 {
			time.Sleep(later)
		}
		if err := c.send(events, n); err != nil {
			return time.Time{}, errors.Join(err, c.close())
		}
	}
	return time.Now(), c.close()
}

// whole is an incident that shows all alerts of its group.
type whole struct {
	alertname string
	at        time.Time
}

// watch reports each incident of a namespace once all of its group's alerts are in it.
func (b *bed) watch(ctx context.Context, namespace string) (<-chan whole, error) {
	client, err := dynamic.NewForConfig(b.cluster.Config)
	if err != nil {
		return nil, err
	}
	w, err := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("incidents")).
		Namespace(namespace).
		Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watching incidents: %w", err)
	}
	out := make(chan whole, lagGroups)
	var end sync.Once
	context.AfterFunc(ctx, func() { end.Do(w.Stop) })
	go func() {
		for e := range w.ResultChan() {
			object, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			total, _, _ := unstructured.NestedInt64(object.Object, "status", "alerts", "total")
			name, _, _ := unstructured.NestedString(object.Object, "spec", "alertName")
			if total == lagAlerts {
				select {
				case out <- whole{name, time.Now()}:
				case <-ctx.Done():
				}
			}
		}
	}()
	return out, nil
}
