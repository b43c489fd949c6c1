package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

const (
	// settleTime is how long changes are collected before they are shown.
	settleTime = 200 * time.Millisecond
	// ageTime is how often a terminal is redrawn to update ages.
	ageTime = time.Second
	// againTime is the pause between two attempts to reach a cluster.
	againTime = 2 * time.Second
)

var incidents = v1alpha1.SchemeGroupVersion.WithResource("incidents")

// follow shows the incidents of a cluster until the context ends. It is an error if the cluster cannot be reached at
// first; later it retries.
func (o *treeOptions) follow(ctx context.Context, s streams, names []string) error {
	k, err := o.kube.connect()
	if err != nil {
		return err
	}
	v := &view{options: o, streams: s, kube: k, names: names}
	lost := false
	for began := false; ctx.Err() == nil; began = true {
		list, version, err := k.listAt(ctx, metav1.ListOptions{})
		if err == nil && !began {
			_, err = choose(list, names)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !began:
			return err
		case err != nil:
			if !lost {
				fmt.Fprintf(s.err, "%v; trying again\n", err)
			}
			lost = true
			wait(ctx, againTime)
			continue
		}
		lost = false
		v.all, v.nothing = map[string]v1alpha1.Incident{}, ""
		for _, i := range list {
			v.all[i.Namespace+"/"+i.Name] = i
		}
		if err := v.show(ctx); err != nil {
			return err
		}
		changes, err := k.others.Resource(incidents).Namespace(
			k.namespace,
		).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
		if err != nil {
			if ctx.Err() == nil {
				wait(ctx, againTime)
			}
			continue
		}
		err = v.follow(ctx, changes)
		changes.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// wait ends with the context.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// view is what follow shows.
type view struct {
	streams
	options *treeOptions
	kube    *kube
	names   []string
	all     map[string]v1alpha1.Incident
	// nothing is the sentence that no incident fires. It is made once per change.
	nothing string
	shown   bool
}

// follow shows changes until the watch ends.
func (v *view) follow(ctx context.Context, changes watch.Interface) error {
	var ages <-chan time.Time
	if v.lines != nil {
		ticker := time.NewTicker(ageTime)
		defer ticker.Stop()
		ages = ticker.C
	}
	var settled <-chan time.Time
	for {
		select {
		case change, ok := <-changes.ResultChan():
			if !ok || change.Type == watch.Error {
				return nil
			}
			if err := v.apply(change); err != nil {
				return err
			}
			if settled == nil {
				settled = time.After(settleTime)
			}
		case <-settled:
			settled = nil
			if err := v.show(ctx); err != nil {
				return err
			}
		case <-ages:
			if err := v.show(ctx); err != nil {
				return err
			}
		}
	}
}

// apply applies a change.
func (v *view) apply(change watch.Event) error {
	object, ok := change.Object.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	v.nothing = ""
	key := object.GetNamespace() + "/" + object.GetName()
	if change.Type == watch.Deleted {
		delete(v.all, key)
		return nil
	}
	var i v1alpha1.Incident
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &i); err != nil {
		return fmt.Errorf("reading incident %s: %w", key, err)
	}
	v.all[key] = i
	return nil
}

// show redraws a terminal; otherwise it prints the trees one after the other.
func (v *view) show(ctx context.Context) error {
	all := make([]v1alpha1.Incident, 0, len(v.all))
	for _, i := range v.all {
		all = append(all, i)
	}
	there := v.names
	if len(there) > 0 { // A deleted one is not shown.
		there = nil
		for _, name := range v.names {
			for _, i := range all {
				if i.Name == name {
					there = append(there, name)
					break
				}
			}
		}
		if len(there) == 0 {
			return fmt.Errorf("%s deleted", counted(len(v.names), "the incident was", "the incidents were"))
		}
	}
	out, err := forestOf(all, there)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if len(out.Incidents) == 0 && v.nothing == "" {
		v.nothing = v.kube.nothing(ctx, all)
	}
	v.options.draw(&b, v.streams, out, v.nothing)
	if v.lines == nil {
		if v.shown {
			fmt.Fprintln(v.out)
		}
		v.shown = true
		_, err := v.out.Write(b.Bytes())
		return err
	}
	return v.redraw(b.String())
}

// redraw writes over the screen, line by line so that it does not flicker, and no more lines than it has.
func (v *view) redraw(text string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if height := v.lines(); height > 1 && len(lines) >= height {
		lines = append(lines[:height-2:height-2], fmt.Sprintf("(%d more lines)", len(lines)-height+2))
	}
	begin := ""
	if !v.shown {
		begin = "\x1b[2J" // Clear it once.
	}
	v.shown = true
	_, err := fmt.Fprintf(v.out, "%s\x1b[H%s\x1b[K\n\x1b[J", begin, strings.Join(lines, "\x1b[K\n"))
	return err
}
