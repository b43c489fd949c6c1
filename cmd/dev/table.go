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
	"github.com/stormfold/stormfold/internal/tree"
)

// settled is the time without changes after which a tree is drawn: longer than the pause between the first two writes
// of a group.
const settled = 2 * time.Second

// drawnResources is the maximum number of resources of a kind in a tree.
const drawnResources = 5

// table prints incidents as kubectl get --watch does, one line per change, and then the tree of the newest.
type table struct {
	mu      sync.Mutex
	out     io.Writer
	picture tree.Picture
	// known are all incidents by name, changes the names of those that changed since the last tree.
	known   map[string]v1alpha1.Incident
	changes []string
	// headless: a tree was printed after the header.
	headless bool
	draw     *time.Timer
}

func newTable(out io.Writer, color bool) *table {
	t := &table{out: out, known: map[string]v1alpha1.Incident{}, picture: tree.Picture{Color: color, Most: drawnResources}}
	t.draw = time.AfterFunc(time.Hour, t.drawNewest)
	return t
}

const row = "%-34s %-7s %-9s %-9s %6v %6v  %-6s %s\n"

func (t *table) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

func (t *table) head() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.printHead()
}

func (t *table) printHead() {
	fmt.Fprintf(t.out, row, "NAME", "TYPE", "STATE", "SEVERITY", "FIRING", "TOTAL", "SINCE", "SUBJECT")
}

// changed prints an incident whose status is known.
func (t *table) changed(i v1alpha1.Incident, deleted bool) {
	if i.Status.State == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.headless {
		t.headless = false
		t.printHead()
	}
	state := string(i.Status.State)
	if deleted {
		state = "(deleted)"
		delete(t.known, i.Name)
	} else {
		t.known[i.Name] = i
		t.changes = append(t.changes, i.Name)
		t.draw.Reset(settled)
	}
	fmt.Fprintf(t.out, row, i.Name, i.Status.Type, state, cmp.Or(i.Status.Severity, "-"), i.Status.Alerts.Firing,
		i.Status.Alerts.Total, since(i.Status.StartedAt), i.Status.About)
}

// since is how long ago something was, as kubectl prints it.
func since(at *metav1.Time) string {
	if at == nil {
		return "-"
	}
	return duration.HumanDuration(time.Since(at.Time))
}

// drawNewest draws the newest of the incidents that changed. One that was absorbed is not drawn while there is another.
func (t *table) drawNewest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var newest *v1alpha1.Incident
	for _, name := range t.changes {
		i, there := t.known[name]
		if !there {
			continue
		}
		if newest == nil || i.Status.State != v1alpha1.StateAbsorbed || newest.Status.State == v1alpha1.StateAbsorbed {
			newest = &i
		}
	}
	t.changes = nil
	if newest == nil {
		return
	}
	if parent, known := t.known[newest.Status.PartOf]; known {
		newest = &parent // For an incident of an outage, the whole outage is drawn.
	}
	all := make([]v1alpha1.Incident, 0, len(t.known))
	for _, i := range t.known {
		all = append(all, i)
	}
	t.picture.Now = time.Now()
	fmt.Fprintln(t.out)
	t.picture.Draw(t.out, tree.Of(*newest, all))
	fmt.Fprintln(t.out)
	t.headless = true
}

// follow reads a real API server once a second and prints what changed.
func (t *table) follow(ctx context.Context, incidents projector.Incidents, namespace string) {
	seen := map[string]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		list, err := incidents.List(ctx, namespace, metav1.ListOptions{Limit: 500})
		if err != nil {
			if ctx.Err() == nil {
				t.say("cannot list incidents: %v", err)
			}
			continue
		}
		for _, i := range list.Items {
			if version := i.ResourceVersion; seen[i.Name] != version {
				seen[i.Name] = version
				t.changed(i, false)
			}
		}
	}
}
