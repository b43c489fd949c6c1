package aggregator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/config"
)

// racks is the model of both levels: an incident for each pod that ever fired, and an outage for each rack with two.
type racks struct {
	*world
	firing map[[2]int]bool // By rack and pod; false once it is over.
	began  map[[2]int]time.Time
}

// The scripts and the model of alerts, incidents and outages run the same random programs, and agree whenever all is at
// rest: whatever the order, whatever pod dies, and whatever Redis loses.
func TestModelOfOutages(t *testing.T) {
	setFlag(t, "rapid.steps", "30")
	setFlag(t, "rapid.checks", "40")
	rapid.Check(t, func(rt *rapid.T) {
		w := &racks{world: newWorld(rapidTB{t, rt}), firing: map[[2]int]bool{}, began: map[[2]int]time.Time{}}
		pods := w.policies.Named("default")
		pods.GroupBy, pods.Threshold, pods.Cooldown = []string{"rack", "pod"}, 1, 24*time.Hour
		w.policies = config.Policies{List: []config.Policy{*pods}, Outages: []config.Outage{{
			Name: "rack", GroupBy: []string{"rack"}, Threshold: 2, Window: time.Hour, Cooldown: 24 * time.Hour,
			Retention: 48 * time.Hour, MaxListed: 100, MaxIncidents: 100,
			Flush: config.Flush{Min: time.Second, Max: 8 * time.Second},
		}}}
		one := func(rt *rapid.T) (pod [2]int) {
			return [2]int{rapid.IntRange(0, 2).Draw(rt, "rack"), rapid.IntRange(0, 3).Draw(rt, "pod")}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"fires": func(rt *rapid.T) { w.tell(one(rt), Firing) },
			"resolves": func(rt *rapid.T) {
				if pod := one(rt); w.firing[pod] {
					w.tell(pod, Resolved)
				}
			},
			"waits": func(rt *rapid.T) { w.rest(time.Duration(rapid.IntRange(0, 30).Draw(rt, "seconds")) * time.Second) },
			"a pod dies": func(rt *rapid.T) {
				n := rapid.IntRange(0, 2).Draw(rt, "after")
				w.dies = func() bool { n--; return n < 0 }
				w.rest(25 * time.Second)
				w.dies = func() bool { return false }
			},
			"Redis is emptied": func(*rapid.T) {
				w.settle() // What was not written is lost; the sender repeats it.
				require.NoError(w.t, w.rdb.FlushAll(w.ctx).Err())
				w.imports()
			},
			"": func(*rapid.T) {},
		})
		w.settle()
		w.compare()
	})
}

func (w *racks) tell(pod [2]int, status Status) {
	w.now = w.now.Add(time.Second)
	if !w.firing[pod] {
		w.began[pod] = w.now
	}
	w.starts = w.began[pod]
	w.fold(status, "", map[string]string{
		"alertname": "Down", "severity": "warning", "rack": fmt.Sprint("r", pod[0]), "pod": fmt.Sprint("p", pod[1]),
	})
	w.firing[pod] = status == Firing
}

// settle lets the leases of pods that died end, and writes what is due.
func (w *racks) settle() {
	w.now = w.now.Add(30 * time.Second)
	w.rest(2 * time.Minute)
}

// compare holds the objects against the model.
func (w *racks) compare() {
	w.t.Helper()
	want := map[string][]string{} // Of each rack, its pods, with a mark for those that fire.
	for pod, firing := range w.firing {
		rack := fmt.Sprint("r", pod[0])
		want[rack] = append(want[rack], fmt.Sprintf("p%d %t", pod[1], firing))
	}
	incidents, outages, parts := map[string][]string{}, map[string]Object{}, map[string]string{}
	for name, i := range w.objects {
		o := i.Object
		switch {
		case o.Outage == nil:
			rack := i.Labels["rack"]
			incidents[rack] = append(incidents[rack], fmt.Sprintf("%s %t", i.Labels["pod"], o.State == StateFiring))
			parts[name] = rack
		case o.State != StateAbsorbed:
			require.NotContains(w.t, outages, i.Labels["rack"], "one outage for each rack")
			outages[i.Labels["rack"]] = o
		}
	}
	for rack := range want {
		slices.Sort(want[rack])
		slices.Sort(incidents[rack])
		require.Equal(w.t, want[rack], incidents[rack], rack)
		fires := slices.ContainsFunc(want[rack], func(pod string) bool { return strings.HasSuffix(pod, "true") })
		o, there := outages[rack]
		if !there { // What was over before anybody looked makes no outage.
			require.False(w.t, fires && len(want[rack]) >= 2, "%s has no outage of %v", rack, want[rack])
			for name, of := range parts {
				require.False(w.t, of == rack && w.objects[name].Object.PartOf != "", name)
			}
			continue
		}
		require.GreaterOrEqual(w.t, len(want[rack]), 2, rack)
		firing := 0
		for _, p := range o.Outage.Members {
			member := w.objects[p.Name].Object
			require.Equal(w.t, rack, parts[p.Name])
			require.Equal(w.t, o.Name, member.PartOf, p.Name)
			require.Equal(w.t, member.State == StateFiring, p.Firing, p.Name)
			if p.Firing {
				firing++
			}
		}
		require.Equal(w.t, []int{len(want[rack]), firing}, []int{o.Total, o.Firing}, rack)
		require.Len(w.t, o.Outage.Members, o.Total)
		require.Equal(w.t, firing > 0, o.State == StateFiring, rack)
	}
}
