package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/lookup"
	"github.com/stormfold/stormfold/internal/replay"
)

// Names of the files of a recording, behind its name.
const (
	notificationsSuffix = ".jsonl"
	truthSuffix         = ".truth.json"
	topologySuffix      = ".topology.json"
)

// truth is what really happened while a recording was made.
type truth struct {
	Scenario     string    `json:"scenario"`
	Distribution string    `json:"distribution"`
	Begin        time.Time `json:"begin"`
	End          time.Time `json:"end"`
	Roots        []root    `json:"roots"`
	Alerts       []alert   `json:"alerts"`
}

// root is a cause. Noise is something that goes wrong on its own, beside the outage that the recording is about.
type root struct {
	ID     string `json:"id"`
	Object object `json:"object"`
	Noise  bool   `json:"noise,omitempty"`
}

// alert is one label set, what it is really about, and when it fired.
type alert struct {
	Fingerprint string            `json:"fingerprint"`
	Root        string            `json:"root"`
	Object      object            `json:"object"`
	Labels      map[string]string `json:"labels"`
	Fired       []span            `json:"fired"`
}

// object is one of Kubernetes. Namespace is empty for what lives in none.
type object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// is tells whether an incident's resource is this object. What is about the whole cluster, or about nothing, has no
// name: it stands as an Alert. An endpoint is an Instance to the fold. A node may stand by its address: some alerts
// name nothing else.
func (o object) is(r v1alpha1.Resource, c *cluster) bool {
	switch {
	case o.Kind == "Node" && r.Kind == o.Kind:
		return r.Name == o.Name || r.Name != "" && r.Name == c.Nodes[o.Name].Address
	case o.Name == "":
		return r.Kind == "Alert" || r.Kind == o.Kind
	case o.Kind == "Endpoint" && r.Kind == "Instance":
		return r.Name == o.Name && (r.Namespace == "" || r.Namespace == o.Namespace)
	default:
		return o == object{r.Kind, r.Namespace, r.Name}
	}
}

// span is a time for which an alert fired. An alert that fires when the recording ends has no To, and that end once
// it is read.
type span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
}

// within tells whether a time lies inside of the span, its ends not included.
func (s span) within(t time.Time) bool { return t.After(s.From) && t.Before(s.To) }

// recording is the notifications of an outage with the truth about it, and the cluster.
type recording struct {
	name          string
	truth         truth
	cluster       cluster
	notifications []replay.Notification
	inventory     *lookup.Inventory // Nil: nothing is looked up.
}

// readAll reads every recording of a directory that has a truth, in the order of their names.
func readAll(dir string) ([]recording, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+truthSuffix))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: there is no recording with a truth (NAME%s beside NAME%s)",
			dir, notificationsSuffix, truthSuffix)
	}
	out := make([]recording, 0, len(files))
	for _, file := range files {
		r, err := read(strings.TrimSuffix(file, truthSuffix))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// read reads the files of one recording.
func read(path string) (recording, error) {
	r := recording{name: filepath.Base(path)}
	if err := readJSON(path+truthSuffix, &r.truth); err != nil {
		return r, err
	}
	for _, a := range r.truth.Alerts {
		for n := range a.Fired {
			if a.Fired[n].To.IsZero() {
				a.Fired[n].To = r.truth.End
			}
		}
	}
	if err := readJSON(path+topologySuffix, &r.cluster); err != nil {
		return r, err
	}
	content, err := os.ReadFile(path + notificationsSuffix)
	if err != nil {
		return r, err
	}
	r.notifications, err = replay.Read(path+notificationsSuffix, content)
	return r, err
}

// lookUps makes the recordings' topologies what alerts are looked up in.
func lookUps(dir string, recordings []recording) error {
	for i := range recordings {
		content, err := os.ReadFile(filepath.Join(dir, recordings[i].name+topologySuffix))
		if err != nil {
			return err
		}
		if recordings[i].inventory, err = lookup.Read(content); err != nil {
			return fmt.Errorf("%s%s: %w", recordings[i].name, topologySuffix, err)
		}
	}
	return nil
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
