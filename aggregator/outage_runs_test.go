package aggregator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// outagePolicy is a built-in one.
func outagePolicy(t testing.TB, name string) *config.Outage {
	t.Helper()
	outages := config.Default().Outages
	i := slices.IndexFunc(outages, func(o config.Outage) bool { return o.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return &outages[i]
}

// part is an incident that begins and, unless to is 0, ends some seconds after the epoch.
func part(name string, from, to int, labels ...string) Part {
	p := Part{Name: name, Firing: to == 0, Labels: map[string]string{}}
	p.StartsAt = epoch.Add(time.Duration(from) * time.Second)
	if to > 0 {
		p.EndedAt = epoch.Add(time.Duration(to) * time.Second)
	}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		p.Labels[key] = value
	}
	return p
}

func TestRuns(t *testing.T) {
	node, pod := "subject_kind=Node", "subject_kind=Pod"
	down := causePrefix + "zone=true"
	for _, c := range []struct {
		name, policy string
		parts        []Part
		want         string // Runs by ;, members by space, the cause first.
	}{
		{"a node and its pods", "node", []Part{part("n", 0, 0, node), part("a", 40, 0, pod), part("b", 60, 0, pod)}, "n a b"},
		{"the node is reported last", "node", []Part{part("n", 900, 0, node), part("a", 0, 0, pod)}, "n a"},
		{"pods alone", "node", []Part{part("a", 0, 0, pod), part("b", 1, 0, pod)}, ""},
		{"a node alone", "node", []Part{part("n", 0, 0, node)}, ""},
		{"a pod that failed days before the node", "node",
			[]Part{part("a", -200000, 0, pod), part("n", 0, 0, node), part("b", 1, 0, pod)}, "n b"},
		{"a disk that has been full for long explains what begins", "node",
			[]Part{part("n", -5000, 0, node), part("a", 0, 0, pod), part("b", 1, 0, pod)}, "n a b"},
		{"a late pod, while the node is down", "node",
			[]Part{part("n", 0, 0, node), part("a", 1, 0, pod), part("b", 9000, 0, pod)}, "n a b"},
		{"another outage, hours later", "node", []Part{
			part("n", 0, 600, node), part("a", 1, 700, pod), part("m", 9000, 0, node), part("b", 9001, 0, pod),
		}, "n a; m b"},
		{"two nodes are no zone", "zone",
			[]Part{part("a", 0, 0, "node=1", down), part("b", 1, 0, "node=2", down), part("c", 2, 0, "node=3")}, ""},
		{"three are", "zone", []Part{
			part("a", 0, 0, "node=1", down), part("b", 1, 0, "node=2", down), part("c", 2, 0, "node=3", down), part("d", 3, 0),
		}, "a b c d"},
		{"five namespaces in a minute, and what follows", "many-namespaces", []Part{
			part("a", 0, 0, "namespace=1"), part("b", 10, 0, "namespace=2"), part("c", 20, 0, "namespace=3"),
			part("d", 30, 0, "namespace=4"), part("e", 59, 0, "namespace=5"), part("f", 119, 0, "namespace=1"),
		}, "a b c d e f"},
		{"what came just before", "many-namespaces", []Part{
			part("x", -61, 0, "namespace=1"), part("y", -59, 0), part("a", 0, 0, "namespace=1"), part("b", 0, 0, "namespace=2"),
			part("c", 0, 0, "namespace=3"), part("d", 0, 0, "namespace=4"), part("e", 0, 0, "namespace=5"),
		}, "a b c d e y"},
		{"five namespaces in two minutes", "many-namespaces", []Part{
			part("a", 0, 0, "namespace=1"), part("b", 30, 0, "namespace=2"), part("c", 60, 0, "namespace=3"),
			part("d", 90, 0, "namespace=4"), part("e", 120, 0, "namespace=5"),
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := outagePolicy(t, c.policy)
			for range 20 { // In any order.
				rand.Shuffle(len(c.parts), func(i, j int) { c.parts[i], c.parts[j] = c.parts[j], c.parts[i] })
				assert.Equal(t, c.want, shownRuns(runsOf(p, c.parts)))
			}
		})
	}
}

func shownRuns(runs []outageRun) string {
	var out []string
	for _, run := range runs {
		var names []string
		for _, p := range run.parts {
			if p.Name != run.cause {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		if run.cause != "" {
			names = slices.Insert(names, 0, run.cause)
		}
		out = append(out, strings.Join(names, " "))
	}
	return strings.Join(out, "; ")
}

// Two outages that begin at any two moments never become one: of two nodes, of the control plane, and rollouts.
func TestTwoOutagesThatShareNoLabel(t *testing.T) {
	policies := config.Default().Outages
	node := func(r *rand.Rand, id, from int) (parts []Part) {
		on := fmt.Sprintf("node=n%d", id)
		parts = append(parts, part(fmt.Sprintf("%d-n", id), from+r.IntN(900), 0, on, "subject_kind=Node", "type=Storm",
			"policy=nodes", "severity=warning", "zone=z"))
		for n := range 1 + r.IntN(30) {
			parts = append(parts, part(fmt.Sprintf("%d-%d", id, n), from+r.IntN(120), 0, on, "subject_kind=Pod",
				"type=Alert", "policy=workloads", "severity=warning", "zone=z", fmt.Sprintf("namespace=ns%d", r.IntN(20))))
		}
		return parts
	}
	controlPlane := func(r *rand.Rand, id, from int) (parts []Part) {
		for n := range 2 + r.IntN(8) {
			kind := []string{"Pod", "Service", "Cluster"}[r.IntN(3)]
			parts = append(parts, part(fmt.Sprintf("%d-%d", id, n), from+r.IntN(900), 0, "control_plane=true",
				"subject_kind="+kind, "type=Alert", "policy=workloads", "severity=critical", "namespace=kube-system"))
		}
		return parts
	}
	rollout := func(_ *rand.Rand, id, from int) []Part {
		return []Part{part(fmt.Sprintf("%d-r", id), from, 0, "subject_kind=Deployment", "type=Storm", "policy=workloads",
			"severity=warning", fmt.Sprintf("namespace=app%d", id))}
	}
	outages := [][2]func(r *rand.Rand, id, from int) []Part{
		{node, node}, {node, controlPlane}, {node, rollout}, {controlPlane, rollout}, {rollout, rollout},
	}
	for seed := range uint64(10000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var parts []Part
		for id, outage := range outages[seed%uint64(len(outages))] {
			parts = append(parts, outage(r, id, r.IntN(7200))...)
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for _, members := range partition(policies, parts) {
			for _, m := range members[1:] {
				require.Equal(t, members[0][0], m[0], "seed %d: %s and %s", seed, members[0], m)
			}
		}
	}
}

// partition is which incidents end in which outage at the top, when each policy takes what no earlier one has.
func partition(policies []config.Outage, parts []Part) map[string][]string {
	parent, members := map[string]string{}, map[string][]Part{}
	for i := range policies {
		p := &policies[i]
		groups := map[string][]Part{}
		for _, part := range parts {
			if parent[part.Name] == "" && p.Matches(part.Labels) {
				id, _ := outageGroupID(p, part.Labels)
				groups[id] = append(groups[id], part)
			}
		}
		for id, group := range groups {
			for n, run := range runsOf(p, group) {
				name := fmt.Sprintf("%s-%s-%d", p.Name, id, n)
				outage := Part{Name: name, StartsAt: run.parts[0].StartsAt, Firing: true}
				_, labels := outageGroupID(p, run.parts[0].Labels)
				outage.Labels = outageLabels(p.Name, labels, run.parts)
				for _, member := range run.parts {
					parent[member.Name] = name
				}
				members[name] = run.parts
				parts = append(parts, outage)
			}
		}
	}
	out := map[string][]string{}
	for _, part := range parts {
		if members[part.Name] != nil {
			continue
		}
		top := part.Name
		for parent[top] != "" {
			top = parent[top]
		}
		out[top] = append(out[top], part.Name)
	}
	return out
}

// The labels of an incident are a join: neither order nor repetition of its alerts matters.
func TestJoint(t *testing.T) {
	alerts := []struct {
		name, value string
		start       int64
	}{
		{"agree", "1", 5}, {"agree", "1", 5}, {"differ", "1", 5}, {"differ", "2", 5}, {"differ", "3", 6},
		{"empty", "", 1}, {"empty", "3", 7}, {"later", "1", 5}, {"later", "2", 6},
	}
	for range 100 {
		rand.Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
		j := joint{}
		for _, a := range alerts {
			j.add(a.name, a.value, time.Unix(a.start, 0))
		}
		assert.Equal(t, map[string]string{"agree": "1", "empty": "3"}, j.labels(nil))
		assert.Equal(t, map[string]string{"agree": "1", "empty": "3", "first:later": "1"},
			j.labels([]string{"agree", "differ", "later"}))
	}
}
