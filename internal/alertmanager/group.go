package alertmanager

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// group is what the dispatcher keeps until all alerts of it are resolved and reported.
type group struct {
	key    string
	labels map[string]string
	flush  time.Time
	alerts map[model.Fingerprint]Alert
}

// sorted are the alerts by their start.
func (g *group) sorted() []Alert {
	out := make([]Alert, 0, len(g.alerts))
	for _, id := range slices.Sorted(maps.Keys(g.alerts)) {
		out = append(out, g.alerts[id])
	}
	slices.SortStableFunc(out, func(a, b Alert) int { return a.StartsAt.Compare(b.StartsAt) })
	return out
}

// queue has the groups as a heap: the first one is flushed next.
type queue []*group

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	return cmp.Or(q[i].flush.Compare(q[j].flush), cmp.Compare(q[i].key, q[j].key)) < 0
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for package heap.
func (q *queue) Push(g any) { *q = append(*q, g.(*group)) }

// Pop is for package heap.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
