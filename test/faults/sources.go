package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// told are the events that tell of what one event of the plan tells: the replicas of Prometheus tell of it together or each for itself.
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

// exporter is the job of one that tells of all objects of the API, so that the instance is not what an alert is about.
const exporter = "kube-state-metrics"

// move moves the exporter: what fires by the old one ends, and fires by the new one, said in one event or in two, in either order.
func (b *bed) move(instance string) {
	s := b.sender
	s.mu.Lock()
	s.exporter = instance
	var over []planned
	for source, p := range s.firing {
		p.firing, p.source = false, map[string]string{}
		p.labels = s.body[source]["labels"].(map[string]string)
		over = append(over, p)
	}
	s.mu.Unlock()
	for chunk := range slices.Chunk(over, 10) {
		anew := slices.Clone(chunk)
		for i := range anew {
			labels := maps.Clone(anew[i].labels)
			labels["instance"] = instance
			anew[i].labels, anew[i].firing = labels, true
		}
		events := [][]planned{chunk, anew}
		rand.Shuffle(2, func(i, j int) { events[i], events[j] = events[j], events[i] })
		if rand.IntN(2) == 0 {
			events = [][]planned{slices.Concat(events...)}
		}
		for _, e := range events {
			header, body, answered := s.prepare(e)
			s.deliver(b.t.Context(), header, body, answered)
		}
	}
}
