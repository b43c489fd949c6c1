package aggregator

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestJoin(t *testing.T) {
	node, pod := "subject_kind=Node", "subject_kind=Pod"
	down := causePrefix + "zone=true"
	outage := []Part{part("n", 0, 0, node), part("a", 40, 0, pod), part("b", 9000, 0, pod), part("old", -9000, 0, pod)}
	five := []Part{
		part("a", 0, 0, "namespace=1"), part("b", 10, 0, "namespace=2"), part("c", 20, 0, "namespace=3"),
		part("d", 30, 0, "namespace=3"), part("e", 59, 0, "namespace=5"), part("f", 60, 0, "namespace=6"), part("x", 5, 0),
	}
	for _, c := range []struct {
		name, policy, incident string
		parts                  []Part
		members, count         int
		cause                  string
	}{
		{"a member", "node", "a", outage, 3, 2, "n"},
		{"one that joined late", "node", "b", outage, 3, 2, "n"},
		{"one that began long before", "node", "old", outage, 0, 1, ""},
		{"no cause", "node", "a", []Part{part("a", 0, 0, pod), part("b", 1800, 0, pod), part("c", 1801, 0, pod)}, 0, 2, ""},
		{"two nodes of three", "zone", "c", []Part{
			part("a", 0, 0, "node=1", down), part("b", 1, 0, "node=2", down), part("c", 2, 0, "node=3"),
		}, 0, 2, ""},
		{"four namespaces of five, seen from the first", "many-namespaces", "a", five, 0, 4, ""},
		{"from the last, which is in other windows", "many-namespaces", "f", five, 0, 4, ""},
		{"from one without a namespace", "many-namespaces", "x", five, 0, 4, ""},
		{"five namespaces", "many-namespaces", "x", append(five, part("g", 30, 0, "namespace=7")), 8, 5, ""},
		{"nobody", "node", "z", outage, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Join(outagePolicy(t, c.policy), c.parts, c.incident)
			assert.Len(t, got.Members, c.members)
			assert.Equal(t, c.count, got.Count)
			assert.Equal(t, c.cause, got.Cause)
		})
	}
}
