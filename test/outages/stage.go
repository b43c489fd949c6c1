package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/stormfold/stormfold/internal/alertmanager"
	"github.com/stormfold/stormfold/test/virtual"
)

// epoch is when the project's recordings begin, long when they end.
var epoch = time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC)

const long = 4 * time.Hour

// stage is a recording in the making: a cluster in which alerts fire.
type stage struct {
	*distribution
	*cluster
	// exporter is the pod of kube-state-metrics.
	exporter object
	truth    truth
	firings  []virtual.Firing
	// silent is for how long Prometheus is away, if it is.
	silent span
}

// newStage has a cluster with what goes wrong in it on an ordinary day.
func newStage(scenario string, d *distribution) *stage {
	s := &stage{distribution: d, cluster: newCluster()}
	s.truth = truth{Scenario: scenario, Distribution: d.name, Begin: epoch, End: epoch.Add(long)}
	s.exporter = s.add(d.exporter, nodeName(1), 0, "a")
	for n := range nodes {
		s.add(d.nodeExporters, nodeName(n), n, "a")
	}
	return s
}

// noise has three things go wrong that have nothing to do with one another, and the Watchdog where it is sent.
func (s *stage) noise() {
	job := object{"Job", "billing", "invoices-29551440"}
	s.root("noise-job", job, true)
	failed := s.stateOf(s.exporter, "KubeJobFailed", job, "condition", "true")
	s.fire("noise-job", job, failed, 12*time.Minute, 50*time.Minute)
	clock := object{Kind: "Node", Name: nodeName(5)}
	s.root("noise-clock", clock, true)
	skewed := s.nodeOf(s.cluster, "NodeClockNotSynchronising", clock.Name)
	s.fire("noise-clock", clock, skewed, 26*time.Minute, 41*time.Minute)
	scaler := object{"HorizontalPodAutoscaler", "mail", "mailer"}
	s.root("noise-scaler", scaler, true)
	s.fire("noise-scaler", scaler, s.stateOf(s.exporter, "KubeHpaMaxedOut", scaler), 33*time.Minute, 55*time.Minute)
	if s.watchdog {
		s.root("noise-watchdog", object{Kind: "None"}, true)
		s.fire("noise-watchdog", object{Kind: "None"}, s.labelsOf("Watchdog", "none"), 0, long)
	}
}

func (s *stage) root(id string, about object, noise bool) {
	s.truth.Roots = append(s.truth.Roots, root{id, about, noise})
}

// fire has an alert fire from and to a time after the epoch. One that fires while Prometheus is away resolves when
// what Prometheus said last is over, and fires again when Prometheus is back.
func (s *stage) fire(root string, about object, labels map[string]string, from, to time.Duration) {
	annotations := map[string]string{"summary": labels["alertname"]}
	f := virtual.Firing{Labels: labels, Annotations: annotations, From: epoch.Add(from), To: epoch.Add(to)}
	if f.From.Before(s.silent.From) && f.To.After(s.silent.From) {
		again := f
		f.Silent = s.silent.From
		s.fired(root, about, f, f.Over())
		if again.From = s.silent.To.Add(time.Minute); again.From.Before(again.To) {
			s.fired(root, about, again, again.To)
		}
		return
	}
	s.fired(root, about, f, f.To)
}

func (s *stage) fired(root string, about object, f virtual.Firing, to time.Time) {
	s.firings = append(s.firings, f)
	if !to.Before(s.truth.End) {
		to = time.Time{}
	}
	id := alertmanager.Fingerprint(f.Labels)
	n := slices.IndexFunc(s.truth.Alerts, func(a alert) bool { return a.Fingerprint == id })
	if n < 0 {
		n = len(s.truth.Alerts)
		s.truth.Alerts = append(s.truth.Alerts, alert{Fingerprint: id, Root: root, Object: about, Labels: f.Labels})
	}
	s.truth.Alerts[n].Fired = append(s.truth.Alerts[n].Fired, span{f.From, to})
}

// play runs Prometheus and Alertmanager over it, and returns what the webhook gets. The Watchdog has a route of its
// own.
func (s *stage) play() []virtual.Webhook {
	var heartbeat, rest []virtual.Firing
	for _, f := range s.firings {
		if f.Labels["alertname"] == "Watchdog" {
			heartbeat = append(heartbeat, f)
		} else {
			rest = append(rest, f)
		}
	}
	var out []virtual.Webhook
	for _, firings := range [][]virtual.Firing{heartbeat, rest} {
		m := alertmanager.New(alertmanager.Shipped)
		virtual.Send(firings, m, s.truth.End)
		out = append(out, virtual.Webhooks(m.Notified)...)
	}
	slices.SortStableFunc(out, func(a, b virtual.Webhook) int { return a.At.Compare(b.At) })
	slices.SortFunc(s.truth.Alerts, func(a, b alert) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	return out
}

// owners are the workloads and nodes that alerts of a root are about, those of pods included.
func (c *cluster) owners(alerts []alert, root string) map[object]bool {
	out := map[object]bool{}
	for _, a := range alerts {
		if p, known := c.Pods[a.Object.Namespace+"/"+a.Object.Name]; a.Root == root && known && a.Object.Kind == "Pod" {
			out[p.Owner] = true
		} else if a.Root == root {
			out[a.Object] = true
		}
	}
	return out
}
