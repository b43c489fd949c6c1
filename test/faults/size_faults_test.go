package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// sizeFaults are objects that want to be larger than they may be.
var sizeFaults = []fault{
	{
		name: "objects too large", api: true, long: true, every: 30 * time.Millisecond,
		during: func(b *bed) {
			// The API server takes no body of more than 64 KiB for a while, and more later.
			b.api.Fail(Trouble{Code: http.StatusRequestEntityTooLarge, Beyond: 64 << 10})
			b.giants()
			b.await(30*time.Second, func() error {
				if b.api.Hits() < 3 {
					return fmt.Errorf("%d objects were refused", b.api.Hits())
				}
				return nil
			})
			b.awaitAnswers(taken, 20) // Others go on.
			b.api.Fail(Trouble{})
		},
		after: func(b *bed) {
			items, err := b.list(b.t.Context())
			assert.NoError(b.t, err)
			largest, found := 0, 0
			for _, in := range items {
				raw, err := json.Marshal(in)
				assert.NoError(b.t, err)
				largest = max(largest, len(raw))
				assert.LessOrEqual(b.t, len(raw), 256<<10, in.Name)
				if strings.HasPrefix(in.Spec.AlertName, "Giant") && in.Status.State == v1alpha1.StateFiring {
					found++
					many := in.Spec.AlertName == "GiantMany"
					assert.Equal(b.t, many, in.Status.Truncated, "%s says whether a list was cut", in.Name)
					assert.EqualValues(b.t, giants[in.Spec.AlertName], in.Status.Alerts.Firing, in.Name)
				}
			}
			assert.Equal(b.t, len(giants), found, "each giant group has one incident")
			b.t.Logf("the largest object has %d KiB", largest>>10)
		},
	},
}

// giants are groups with their number of alerts: one of many alerts with long names, one of few with much in common.
var giants = map[string]int{"GiantMany": 10_000, "GiantLabels": 16}

// giants sends them, 500 and 4 alerts an event, and returns when all are taken.
func (b *bed) giants() {
	var events [][]planned
	add := func(name string, size int, label func(n int, labels map[string]string)) {
		var alerts []planned
		for n := range giants[name] {
			a := b.sender.subject(name, n)
			label(n, a.labels)
			a.fingerprint = fingerprintOf(a.labels)
			alerts = append(alerts, planned{subject: a, firing: true})
		}
		events = slices.AppendSeq(events, slices.Chunk(alerts, size))
	}
	add("GiantMany", 500, func(n int, labels map[string]string) {
		labels["pod"] = fmt.Sprintf("%s-%05d", strings.Repeat("p", 240), n)
		labels["node"] = strings.Repeat("n", 250)
	})
	add("GiantLabels", 4, func(_ int, labels map[string]string) {
		for i := range 110 {
			labels[fmt.Sprintf("%s%d", strings.Repeat("l", 200), i)] = strings.Repeat("v", 4096)
		}
	})
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, e := range events {
		header, body, answered := b.sender.prepare(e)
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			b.sender.deliver(b.t.Context(), header, body, answered)
		})
	}
	all.Wait()
}
