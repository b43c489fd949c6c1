package faults

import (
	"time"

	"github.com/stretchr/testify/assert"
)

// sourceFaults are about who tells of an alert.
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
