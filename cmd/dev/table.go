package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// table prints incidents as kubectl get --watch does: a line for each change.
type table struct {
	mu   sync.Mutex
	out  io.Writer
	seen map[string]string
}

func newTable(out io.Writer) *table { return &table{out: out, seen: map[string]string{}} }

const row = "%-36s %-6s %-20s %-11s %-9s %6v %6v %-9s %s\n"

func (t *table) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

func (t *table) head() {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, row, "NAME", "TYPE", "ALERT", "NAMESPACE", "SEVERITY", "FIRING", "TOTAL", "STATE", "AGE")
}

// changed prints an incident whose status is known.
func (t *table) changed(i v1alpha1.Incident, deleted bool) {
	if i.Status.State == "" {
		return
	}
	state := string(i.Status.State)
	if deleted {
		state = "(deleted)"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, row, i.Name, i.Status.Type, i.Spec.AlertName, i.Labels[v1alpha1.LabelAlertNamespace],
		cmp.Or(i.Status.Severity, "-"), i.Status.Alerts.Firing, i.Status.Alerts.Total, state,
		duration.HumanDuration(time.Since(i.CreationTimestamp.Time)))
}

// follow looks at a real API server once a second and prints what changed.
func (t *table) follow(ctx context.Context, incidents projector.Incidents, namespace string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		list, err := incidents.List(ctx, namespace, metav1.ListOptions{Limit: 500})
		if err != nil {
			t.say("cannot list incidents: %v", err)
			continue
		}
		for _, i := range list.Items {
			if version := i.ResourceVersion; t.seen[i.Name] != version {
				t.seen[i.Name] = version
				t.changed(i, false)
			}
		}
	}
}
