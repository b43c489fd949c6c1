package faults

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
)

// sourceFaults are about who reports an alert.
var sourceFaults = []fault{
	{
		name: "two replicas of Prometheus, exporter moved twice", replicas: 2, every: 25 * time.Millisecond,
		during: func(b *bed) {
			for _, instance := range []string{"10.0.0.2:8080", "10.0.0.3:8080"} {
				b.awaitAnswers(taken, 60)
				b.move(instance)
			}
		},
		after: func(b *bed) {
			sources := map[string]bool{}
			for _, w := range b.journal.Latest() {
				sources[w.Source] = true
			}
			assert.Greater(b.t, len(sources), 2*210, "sources of 210 alerts")
		},
	},
}

// move moves the exporter: what fires by the old one ends, and fires by the new one, said in one event or in two, in
// either order.
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
		moved := slices.Clone(chunk)
		for i := range moved {
			labels := maps.Clone(moved[i].labels)
			labels["instance"] = instance
			moved[i].labels, moved[i].firing = labels, true
		}
		events := [][]planned{chunk, moved}
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
