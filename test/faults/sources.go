package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// told are the events for one event of the plan: the replicas of Prometheus report it together or each by itself.
func (s *sender) told(e []planned, random *rand.Rand) [][]planned {
	if s.Replicas == 0 {
		return [][]planned{e}
	}
	var events [][]planned
	for replica := range s.Replicas {
		own := slices.Clone(e)
		for i := range own {
			own[i].replica = replica + 1
		}
		events = append(events, own)
	}
	random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	if random.IntN(2) == 0 {
		return [][]planned{slices.Concat(events...)}
	}
	return events
}

// labels are what an alert is sent with. It is called with s.mu held.
func (s *sender) labels(p planned) map[string]string {
	labels := maps.Clone(p.labels)
	if p.source == nil && p.replica > 0 {
		p.source = map[string]string{"prometheus_replica": fmt.Sprintf("prometheus-%d", p.replica-1), "instance": s.exporter}
	}
	maps.Copy(labels, p.source)
	return labels
}

// exporter is the job of one that reports on all objects of the API, so that the instance is not what an alert is
// about.
const exporter = "kube-state-metrics"
