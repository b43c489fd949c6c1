//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/test/faults"
)

// hops measures how long an answer takes by each way to the function: nothing is asserted about it.
func hops() []step {
	steps := []step{{trial().install.name, func(ctx context.Context, n *node) (string, error) {
		_, err := trial().installed(ctx, n)
		return "", err
	}, true}}
	for i, h := range []struct {
		name string
		way  func(ctx context.Context, n *node) (load, error)
	}{
		{"the function itself", toPod("8080")},
		{"and its queue-proxy", toPod("8012")},
		{"and Knative's activator and the ingress", func(context.Context, *node) (load, error) {
			return load{url: functionURL, host: functionHost}, nil
		}},
		{"the Broker, until it answers 202", func(ctx context.Context, n *node) (load, error) {
			return n.viaBroker(ctx, "", 0)
		}},
	} {
		steps = append(steps, step{h.name, func(ctx context.Context, n *node) (string, error) {
			l, err := h.way(ctx, n)
			if err != nil {
				return "", err
			}
			l.name, l.groups = fmt.Sprintf("Latency%d", i), 16
			return l.latency(ctx)
		}, false})
	}
	return steps
}

// toPod is a load for a port of the only pod.
func toPod(port string) func(context.Context, *node) (load, error) {
	return func(ctx context.Context, n *node) (load, error) {
		pods, err := n.pods(ctx, namespace, functionPods)
		if err == nil && len(pods) != 1 {
			err = fmt.Errorf("%d pods of the function, want 1", len(pods))
		}
		if err != nil {
			return load{}, err
		}
		return load{url: "http://" + pods[0].Status.PodIP + ":" + port + "/", host: functionHost}, nil
	}
}

// latency sends events one after the other, 50 a second, and says how long the answers took.
func (l load) latency(ctx context.Context) (string, error) {
	const events = 1000
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	journal := faults.NewJournal()
	var took []time.Duration
	start := time.Now()
	for i := range events {
		time.Sleep(time.Until(start.Add(time.Duration(i) * 20 * time.Millisecond)))
		sent := time.Now()
		if err := l.deliver(ctx, client, journal, i); err != nil {
			return "", err
		}
		took = append(took, time.Since(sent))
	}
	for answer := range journal.Answers() {
		if !strings.HasPrefix(answer, "2") {
			return "", errors.New("an answer was " + answer)
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	return fmt.Sprintf("p50 %s, p99 %s", ms(took[events/2]), ms(took[events*99/100])), nil
}
