package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

const (
	// noOutages ends the policies of a function without outages.
	noOutages = "outages: []\n"
	// oneOutage joins all incidents, namespaceOutages those of a namespace.
	oneOutage        = "outages:\n- name: one\n  groupBy: [cluster]\n"
	namespaceOutages = "outages:\n- name: namespace\n  groupBy: [namespace]\n  flush: {min: 1s, max: 1s}\n"
	// outageIncidents of outageAlerts alerts each come in a minute.
	outageIncidents, outageAlerts = 1000, 10
	// lagOutages is in how many outages the lag is measured.
	lagOutages = 60
)

// setPolicies writes the policies that functions have from now on.
func (b *bed) setPolicies(outages string) error {
	return os.WriteFile(filepath.Join(b.dir, "policies.yaml"), []byte(policies+outages), 0o644)
}

// outages measures the rates of alerts with the built-in outage policies against those without any.
func (b *bed) outages(ctx context.Context, p plan) (out []outcome, err error) {
	defer func() { err = errors.Join(err, b.setPolicies("")) }()
	loads := []struct {
		id          string
		connections int
		alerts      float64
		events      func() load
	}{
		{"outages-events", connections, 1, func() load { return newStream("Outages", spread).singles() }},
		{"outages-alerts", senders, batchSize, func() load { return newStream("Outages", spread).notifications(batchSize) }},
		{"outages-groups", connections, 1, func() load { return newStream("Outages", manyGroups).singles() }},
	}
	for _, l := range loads {
		if !p.wants(l.id) {
			continue
		}
		o := outcome{row: rowOf(l.id)}
		for round := range p.rounds {
			rates := map[string]float64{}
			sides := []string{noOutages, ""}
			if round%2 == 1 {
				slices.Reverse(sides) // A machine may be slower after a while of load.
			}
			for _, outages := range sides {
				if err := b.setPolicies(outages); err != nil {
					return out, err
				}
				perSecond, err := b.functionRate(ctx, p.ofStorm(), 1, l.connections, l.events(), o.Name, l.alerts)
				if err != nil {
					return out, err
				}
				rates[outages] = perSecond * l.alerts
			}
			o.Rounds = append(o.Rounds, sample{rates[""], rates[noOutages]})
			progress("%s: round %d: with %s without %s", l.id, round+1, number(rates[""]), number(rates[noOutages]))
		}
		out = append(out, o)
	}
	return out, nil
}

// writesOfAnOutage counts the writes of an outage that grows for a minute, and how many more each of its incidents has.
func (b *bed) writesOfAnOutage(ctx context.Context) (out []outcome, err error) {
	defer func() { err = errors.Join(err, b.setPolicies("")) }()
	written := map[string]writesByType{}
	for _, outages := range []string{noOutages, oneOutage} {
		if err := b.setPolicies(outages); err != nil {
			return nil, err
		}
		if written[outages], err = b.outageWrites(ctx); err != nil {
			return nil, err
		}
	}
	with, without := written[oneOutage], written[noOutages]
	if with.outage == 0 {
		return nil, errors.New("no outage was written")
	}
	progress("writes of an outage: %d; of its incidents %d, without it %d", with.outage, with.incidents, without.incidents)
	return []outcome{
		{row: rowOf("writes-outage"), Rounds: []sample{{Measured: float64(with.outage)}}},
		{row: rowOf("writes-members"), Rounds: []sample{{
			Measured:  float64(with.incidents) / outageIncidents,
			Reference: float64(without.incidents) / outageIncidents,
		}}},
	}, nil
}

// writesByType are how often objects were created or changed.
type writesByType struct{ outage, incidents int }

func (b *bed) outageWrites(ctx context.Context) (n writesByType, err error) {
	namespace, err := b.fresh(ctx)
	if err != nil {
		return n, err
	}
	f, err := b.start(ctx, b.stormfold, b.settings(namespace))
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, f.Kill()) }()
	watching, stop := context.WithCancel(ctx)
	events, err := b.watchIncidents(watching, namespace)
	if err != nil {
		stop()
		return n, err
	}
	counted := make(chan writesByType, 1)
	go func() {
		var n writesByType
		for e := range events {
			if isOutage(e.object) {
				n.outage++
			} else if e.kind == watch.Added || e.kind == watch.Modified {
				n.incidents++
			}
		}
		counted <- n
	}()
	_, err = paced(ctx, f.target(), connections, outageIncidents/60.0, 0, time.Minute,
		newStream("Outage", outageIncidents).notifications(outageAlerts))
	if err == nil {
		err = b.awaitNothingDue(ctx)
	}
	stop()
	return <-counted, err
}

// outageLag measures the time from the 2xx of the alert that makes an outage until a watch shows the outage.
func (b *bed) outageLag(ctx context.Context) (out outcome, err error) {
	defer func() { err = errors.Join(err, b.setPolicies("")) }()
	out = outcome{row: rowOf("lag-outage")}
	if err := b.setPolicies(namespaceOutages); err != nil {
		return out, err
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
	events, err := b.watchIncidents(ctx, namespace)
	if err != nil {
		return out, err
	}
	answered := make([]time.Time, lagOutages)
	sent := make(chan error, 1)
	go func() {
		sent <- atOnce(lagOutages, func(i int) error {
			time.Sleep(time.Duration(i) * lagPause)
			c, err := dial(f.addr, "/", fmt.Sprint("outage-", i))
			if err != nil {
				return err
			}
			singles := newStream(fmt.Sprintf("Outage%d", i), 2).singles() // Two alerts of two groups.
			for n := range 2 {
				err = errors.Join(err, c.send(func(b []byte, n int) ([]byte, string) {
					body, eventType := singles(b, n)
					return bytes.Replace(body, []byte(`"namespace":"shop"`), fmt.Appendf(nil, `"namespace":"lag-%d"`, i), 1), eventType
				}, n))
			}
			answered[i] = time.Now()
			return errors.Join(err, c.close())
		})
	}()
	seen := map[string]time.Time{}
	for len(seen) < lagOutages {
		select {
		case <-ctx.Done():
			return out, fmt.Errorf("%d of %d outages were shown: %w", len(seen), lagOutages, ctx.Err())
		case e := <-events:
			of, _, _ := unstructured.NestedString(e.object.Object, "spec", "groupLabels", "namespace")
			if _, before := seen[of]; isOutage(e.object) && !before {
				seen[of] = time.Now()
			}
		}
	}
	if err := <-sent; err != nil {
		return out, err
	}
	var lags []float64
	for i := range lagOutages {
		lags = append(lags, max(0, seen[fmt.Sprintf("lag-%d", i)].Sub(answered[i]).Seconds()))
	}
	out.Rounds = []sample{{quantile(lags, 0.99), 2 * flushInterval}}
	out.Note = fmt.Sprintf("%d outages; p50 %s s", lagOutages, number(quantile(lags, 0.5)))
	progress("lag of outages: p99 %s s, p50 %s s", number(out.measured()), number(quantile(lags, 0.5)))
	return out, nil
}

// incidentEvent is one of a watch.
type incidentEvent struct {
	kind   watch.EventType
	object *unstructured.Unstructured
}

// isOutage tells whether an incident is an outage by its name: without a status it has no type yet.
func isOutage(object *unstructured.Unstructured) bool {
	return strings.HasSuffix(object.GetLabels()[v1alpha1.LabelGroup], "o")
}

// watchIncidents returns every change of incidents in a namespace until the context ends.
func (b *bed) watchIncidents(ctx context.Context, namespace string) (<-chan incidentEvent, error) {
	client, err := dynamic.NewForConfig(b.cluster.Config)
	if err != nil {
		return nil, err
	}
	w, err := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("incidents")).
		Namespace(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watching incidents: %w", err)
	}
	context.AfterFunc(ctx, w.Stop)
	out := make(chan incidentEvent, 1000)
	go func() {
		defer close(out)
		for e := range w.ResultChan() {
			if object, ok := e.Object.(*unstructured.Unstructured); ok {
				out <- incidentEvent{e.Type, object}
			}
		}
	}()
	return out, nil
}
