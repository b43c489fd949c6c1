package aggregator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// world is a fold with the built-in policies, on a real Redis and a clock of the test, and a Kubernetes in memory.
type world struct {
	*Aggregator
	t        testing.TB
	ctx      context.Context
	now      time.Time
	starts   time.Time // Of the alerts that are told next.
	policies config.Policies
	objects  map[string]Imported
	writes   map[string]int
	// dies, when set, tells whether the pod dies between a snapshot and its settle.
	dies func() bool
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, ctx: t.Context(), now: epoch, starts: epoch, policies: config.Default(), objects: map[string]Imported{},
		writes: map[string]int{}, dies: func() bool { return false },
	}
	rdb := server.Client()
	require.NoError(t, rdb.FlushAll(w.ctx).Err())
	w.Aggregator = New(Options{
		Redis: rdb, Lease: 20 * time.Second, Clock: func() time.Time { return w.now }, Namespace: "stormfold",
		Outages: func() []config.Outage { return w.policies.Outages },
	})
	require.NoError(t, w.Load(w.ctx))
	w.imports()
	return w
}

// imports reads back into every shard what is in Kubernetes.
func (w *world) imports() {
	w.t.Helper()
	for shard := range Shards {
		i, err := w.BeginImport(w.ctx, shard, "", 20*time.Second)
		require.NoError(w.t, err)
		require.NotNil(w.t, i)
		for _, object := range w.objects {
			if ShardOf(object.Group) == shard {
				_, err := w.Import(w.ctx, object, w.policies.Named(object.Policy))
				require.NoError(w.t, err)
			}
		}
		require.NoError(w.t, w.FinishImport(w.ctx, i))
	}
}

// fold takes one alert. Its pod's node comes from a look-up.
func (w *world) fold(status Status, node string, labels map[string]string) {
	w.t.Helper()
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	a := Alert{
		Fingerprint: set.Fingerprint().String(), Status: status, Labels: labels, StartsAt: w.starts, NotifiedAt: w.now,
	}
	if node != "" {
		a.Lookups = map[string]string{"node": node}
	}
	if status == Resolved {
		a.EndsAt = w.now
	}
	_, err := w.Fold(w.ctx, Split(w.policies, Batch{Alerts: []Alert{a}}), func(Group) string { return "stormfold" })
	require.NoError(w.t, err)
}

func (w *world) node(status Status, node string) {
	w.fold(status, "", map[string]string{"alertname": "KubeNodeNotReady", "node": node, "job": "kube-state-metrics",
		"severity": "warning"})
}

func (w *world) pod(status Status, node string, n int) {
	w.fold(status, node, map[string]string{"alertname": "KubePodNotReady", "namespace": fmt.Sprintf("ns-%d", n),
		"pod": fmt.Sprintf("web-7d9c6b8f4d-%s", []string{"bbbbb", "ccccc", "ddddd", "fffff", "ggggg", "hhhhh", "jjjjj"}[n%7]),
		"job": "kube-state-metrics", "severity": "warning"})
}

// rest writes what is due until nothing is, for as long as that takes by the clock.
func (w *world) rest(most time.Duration) {
	w.t.Helper()
	until := w.now.Add(most)
	for steps := 0; ; steps++ {
		require.Less(w.t, steps, 5000, "there is nothing left to write")
		due := false
		for shard := range Shards {
			swept, err := w.Sweep(w.ctx, shard)
			require.NoError(w.t, err)
			for _, group := range swept.Groups {
				w.project(group)
			}
			due = due || len(swept.Groups) > 0
		}
		if due {
			continue
		}
		var first time.Time
		for shard := range Shards {
			due, err := w.NextDue(w.ctx, shard, time.Time{})
			require.NoError(w.t, err)
			if !due.IsZero() && (first.IsZero() || due.Before(first)) {
				first = due
			}
		}
		if first.IsZero() || first.After(until) {
			return
		}
		w.now = first
	}
}

// project writes one snapshot of a group, unless its pod dies in between.
func (w *world) project(group string) {
	w.t.Helper()
	s, err := w.Snapshot(w.ctx, group, "", false)
	var busy *Busy
	if errors.As(err, &busy) || err == nil && s == nil {
		return
	}
	require.NoError(w.t, err)
	if w.dies() {
		return
	}
	var confirmed []Confirmed
	for _, o := range s.Objects {
		if o.Delete {
			delete(w.objects, o.Name)
			confirmed = append(confirmed, Confirmed{Name: o.Name, Namespace: o.Namespace})
			continue
		}
		w.writes[o.Name]++
		version := fmt.Sprint(w.writes[o.Name])
		o.ResourceVersion = version
		o.Facts.Traits = nil
		for i := range o.Members { // An object remembers identities only.
			o.Members[i] = Member{Fingerprint: o.Members[i].Fingerprint, Firing: o.Members[i].Firing}
		}
		w.objects[o.Name] = Imported{Group: s.Group, Policy: s.Policy, Labels: s.Labels, Object: o}
		confirmed = append(confirmed, Confirmed{
			Name: o.Name, Namespace: o.Namespace, Revision: o.Revision, ResourceVersion: version,
		})
	}
	if w.dies() {
		return
	}
	_, err = w.Settle(w.ctx, s, confirmed, 0)
	require.NoError(w.t, err)
}

// check holds what is true whenever all is at rest: every incident that is part of an outage is listed by it, and the
// other way round. It returns the members of each open outage.
func (w *world) check() map[string][]string {
	w.t.Helper()
	out := map[string][]string{}
	for name, i := range w.objects {
		o := i.Object
		if parent := o.PartOf; parent != "" && o.State == StateFiring {
			outage, known := w.objects[parent]
			if assert.True(w.t, known, "%s is part of %s, which does not exist", name, parent) {
				assert.Equal(w.t, StateFiring, outage.Object.State, "%s is part of %s", name, parent)
				assert.True(w.t, slices.ContainsFunc(outage.Object.Outage.Members, func(p Part) bool { return p.Name == name }),
					"%s is part of %s, which does not list it", name, parent)
			}
		}
		if o.Outage == nil || o.State != StateFiring {
			continue
		}
		members := []string{}
		for _, p := range o.Outage.Members {
			members = append(members, p.Name)
			if p.Firing {
				assert.Equal(w.t, name, w.objects[p.Name].Object.PartOf, "%s lists %s", name, p.Name)
			}
		}
		slices.Sort(members)
		out[name] = members
	}
	return out
}

// sizes are the numbers of members of the open outages, sorted.
func sizes(outages map[string][]string) []int {
	var out []int
	for _, members := range outages {
		out = append(out, len(members))
	}
	slices.Sort(out)
	return out
}

func TestOutageOfANode(t *testing.T) {
	w := newWorld(t)
	w.node(Firing, "n1")
	for n := range 4 {
		w.pod(Firing, "n1", n)
	}
	w.pod(Firing, "n2", 4) // Another node's.
	w.rest(time.Minute)
	outages := w.check()
	require.Equal(t, []int{5}, sizes(outages))
	for name := range outages {
		o := w.objects[name].Object
		assert.Equal(t, EvidenceCause, o.Outage.Evidence)
		assert.Equal(t, "Node", w.objects[o.Outage.Cause].Object.Labels["subject_kind"])
		assert.Equal(t, 5, o.Firing)
	}
	for name, i := range w.objects {
		if i.Object.Outage == nil {
			assert.LessOrEqual(t, w.writes[name], 3, "a create, a status, and one more for its outage: %s", name)
		}
	}
	w.node(Resolved, "n1")
	for n := range 4 {
		w.pod(Resolved, "n1", n)
	}
	w.rest(time.Minute)
	assert.Empty(t, w.check(), "it has ended with its members")
	w.now = w.now.Add(5 * time.Minute)
	w.pod(Firing, "n1", 2)
	w.rest(time.Minute)
	require.Equal(t, []int{5}, sizes(w.check()), "an incident within the cooldown reopens it")
}

// The cause comes last: the pods have an outage of the whole cluster until their node is reported.
func TestABetterExplanation(t *testing.T) {
	w := newWorld(t)
	for n := range 6 {
		w.pod(Firing, "n1", n)
	}
	w.rest(3 * time.Minute)
	before := w.check()
	require.Equal(t, []int{6}, sizes(before), "six namespaces in a minute")
	w.node(Firing, "n1")
	w.rest(3 * time.Minute)
	after := w.check()
	require.Equal(t, []int{7}, sizes(after))
	for name := range before {
		assert.NotContains(t, after, name)
		assert.Equal(t, StateAbsorbed, w.objects[name].Object.State)
		assert.Contains(t, after, w.objects[name].Object.AbsorbedBy)
	}
}

// An incident that came back from Kubernetes keeps its labels, whatever is reported about its alert then.
func TestLabelsAfterAnImport(t *testing.T) {
	w := newWorld(t)
	disk := map[string]string{"alertname": "DiskSlow", "severity": "warning"} // Below its policy's threshold.
	w.fold(Firing, "n1", disk)
	w.rest(time.Minute)
	require.NoError(t, w.rdb.FlushAll(w.ctx).Err())
	w.imports()
	w.fold(Resolved, "", disk)
	w.rest(time.Minute)
	require.Len(t, w.objects, 1)
	for _, i := range w.objects {
		assert.Equal(t, StateResolved, i.Object.State)
		assert.Equal(t, "n1", i.Object.Labels["node"])
	}
}

// An outage whose object lists an incident that has been absorbed since loses it when both are imported.
func TestAnAbsorbedPartAfterAnImport(t *testing.T) {
	w := newWorld(t)
	disk := func(n int) {
		w.fold(Firing, "n1", map[string]string{"alertname": "DiskSlow", "severity": "warning", "disk": fmt.Sprint(n)})
	}
	w.node(Firing, "n1")
	disk(0)
	disk(1)
	w.rest(time.Minute)
	before := w.check()
	require.Equal(t, []int{3}, sizes(before))
	var listed Imported
	for name := range before {
		listed = w.objects[name]
	}
	for n := 2; n < 5; n++ {
		disk(n)
	}
	w.rest(time.Minute)
	require.Equal(t, []int{2}, sizes(w.check()), "the node and a storm")
	w.objects[listed.Object.Name] = listed
	require.NoError(t, w.rdb.FlushAll(w.ctx).Err())
	w.imports()
	w.rest(time.Minute)
	assert.Equal(t, []int{2}, sizes(w.check()))
}

// Redis goes back to a state before an incident was absorbed, and Kubernetes does not.
func TestAnAbsorbedPartAfterALoss(t *testing.T) {
	for _, lost := range []string{"{sf:*}:epoch", "{sf:*}:[eg]*"} { // Nothing more, or what was known of alerts, too.
		w := newWorld(t)
		disk := func(n int) {
			w.fold(Firing, "n1", map[string]string{"alertname": "DiskSlow", "severity": "warning", "disk": fmt.Sprint(n)})
		}
		w.node(Firing, "n1")
		for n := range 4 {
			disk(n)
		}
		w.rest(time.Minute)
		require.Equal(t, []int{5}, sizes(w.check()))
		before := map[string]string{}
		for _, key := range w.rdb.Keys(w.ctx, "{sf:*").Val() {
			before[key] = w.rdb.Dump(w.ctx, key).Val()
		}
		disk(4)
		w.rest(time.Minute)
		require.Equal(t, []int{2}, sizes(w.check()), "the node and a storm")
		require.NoError(t, w.rdb.FlushAll(w.ctx).Err())
		for key, value := range before {
			require.NoError(t, w.rdb.Restore(w.ctx, key, 0, value).Err())
		}
		for _, key := range w.rdb.Keys(w.ctx, lost).Val() {
			require.NoError(t, w.rdb.Del(w.ctx, key).Err())
		}
		w.imports()
		disk(4)
		w.rest(time.Minute)
		assert.Equal(t, []int{2}, sizes(w.check()), lost)
	}
}

// An incident whose pod died before it settled is reported by an import, and reported as gone when it is absorbed.
func TestAnImportReportsWhatNoPodSettled(t *testing.T) {
	w := newWorld(t)
	disk := func(n int) {
		w.fold(Firing, "n1", map[string]string{"alertname": "DiskSlow", "severity": "warning", "disk": fmt.Sprint(n)})
	}
	w.node(Firing, "n1")
	disk(0)
	w.rest(time.Minute)
	require.Len(t, w.objects, 3, "two incidents and their outage")
	w.dies = func() bool { return len(w.objects) == 4 } // After the write, before the settle.
	disk(1)
	w.rest(25 * time.Second) // The fold's lease is over then, and the snapshot's is not.
	w.dies = func() bool { return false }
	require.Len(t, w.objects, 4)
	for _, key := range w.rdb.Keys(w.ctx, "{sf:*}:epoch").Val() {
		require.NoError(t, w.rdb.Del(w.ctx, key).Err())
	}
	w.imports()
	w.rest(5 * time.Second)
	for _, i := range w.objects {
		if o := i.Object; o.Outage != nil {
			require.Len(t, o.Outage.Members, 3, "the import has reported the incident")
		}
	}
	for n := 2; n < 5; n++ {
		disk(n)
	}
	w.rest(time.Minute)
	assert.Equal(t, []int{2}, sizes(w.check()), "the node and the storm of disks")
}

// The report about an incident arrives and its settle does not. It is absorbed before the next one.
func TestAnAbsorbedPartThatWasNeverSettled(t *testing.T) {
	w := newWorld(t)
	disk := func(n int) {
		w.fold(Firing, "n1", map[string]string{"alertname": "DiskSlow", "severity": "warning", "disk": fmt.Sprint(n)})
	}
	w.node(Firing, "n1")
	disk(0)
	disk(1)
	w.rest(time.Minute)
	require.Equal(t, []int{3}, sizes(w.check()))
	for name, i := range w.objects {
		objects := w.keys.group(i.Group).objects
		if text := w.rdb.HGet(w.ctx, objects, name).Val(); i.Object.Outage == nil && i.Object.Labels["node"] == "n1" &&
			i.Object.Labels["subject_kind"] != "Node" {
			var e entry
			require.NoError(t, json.Unmarshal([]byte(text), &e))
			e.Up = nil
			changed, err := json.Marshal(e)
			require.NoError(t, err)
			require.NoError(t, w.rdb.HSet(w.ctx, objects, name, changed).Err())
		}
	}
	for n := 2; n < 5; n++ {
		disk(n)
	}
	w.rest(time.Minute)
	assert.Equal(t, []int{2}, sizes(w.check()), "the node and the storm of disks")
}

// One Cluster master loses what an incident was told, and the outage on another one does not.
func TestATellThatWasLost(t *testing.T) {
	w := newWorld(t)
	w.node(Firing, "n1")
	w.pod(Firing, "n1", 1)
	w.rest(time.Minute)
	outages := w.check()
	require.Equal(t, []int{2}, sizes(outages))
	for name, i := range w.objects {
		if i.Object.Outage != nil {
			continue
		}
		i.Object.PartOf = ""
		w.objects[name] = i
		require.NoError(t, w.rdb.Del(w.ctx, w.keys.group(i.Group).list()...).Err())
		require.NoError(t, w.rdb.ZRem(w.ctx, w.keys.due(ShardOf(i.Group)), i.Group).Err())
	}
	require.NoError(t, w.rdb.Del(w.ctx, w.rdb.Keys(w.ctx, "{sf:*}:epoch").Val()...).Err())
	w.imports()
	w.rest(time.Minute)
	require.Equal(t, outages, w.check(), "both say again what they are part of")
	for name := range outages {
		for _, member := range outages[name] {
			assert.Equal(t, name, w.objects[member].Object.PartOf)
		}
	}
}

// Any order and any repetition of the same events, pods that die at any time, a Redis that is emptied and objects that
// are deleted end in the same outages.
func TestOutagesInAnyOrder(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			w := newWorld(t)
			var events []func()
			for _, node := range []string{"n1", "n2"} {
				events = append(events, func() { w.node(Firing, node) })
				for n := range 3 {
					n := n + 3*int(node[1]-'1')
					events = append(events, func() { w.pod(Firing, node, n) })
				}
			}
			events = append(events, events[r.IntN(len(events))], events[r.IntN(len(events))])
			r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			w.dies = func() bool { return r.IntN(6) == 0 }
			for _, event := range events {
				event()
				w.now = w.now.Add(time.Duration(r.IntN(8)) * time.Second)
				w.rest(time.Duration(r.IntN(20)) * time.Second)
				if r.IntN(8) == 0 {
					require.NoError(t, w.rdb.FlushAll(w.ctx).Err())
					w.imports()
				}
			}
			w.dies = func() bool { return false }
			w.now = w.now.Add(time.Minute) // Leases of pods that died are over.
			for _, event := range events { // Alertmanager repeats what fires.
				event()
			}
			w.rest(5 * time.Minute)
			assert.Equal(t, []int{4, 4}, sizes(w.check()))
		})
	}
}

// An outage's object that someone deletes is written again.
func TestADeletedOutage(t *testing.T) {
	w := newWorld(t)
	w.node(Firing, "n1")
	w.pod(Firing, "n1", 1)
	w.rest(time.Minute)
	var name string
	for name = range w.check() {
	}
	group, before := w.objects[name].Group, w.writes[name]
	standing, err := w.Standing(w.ctx, ShardOf(group))
	require.NoError(t, err)
	i := slices.IndexFunc(standing, func(s Standing) bool { return s.Name == name })
	require.GreaterOrEqual(t, i, 0)
	delete(w.objects, name)
	require.NoError(t, w.Differs(w.ctx, standing[i], ""))
	w.rest(time.Minute)
	assert.Greater(t, w.writes[name], before)
	require.Equal(t, []int{2}, sizes(w.check()))
}

// A group of an outage policy of which Redis has lost one key is imported again.
func TestALostKeyOfAnOutage(t *testing.T) {
	for key := 2; key <= 3; key++ {
		w := newWorld(t)
		w.node(Firing, "n1")
		w.pod(Firing, "n1", 1)
		w.rest(time.Minute)
		for name := range w.check() {
			group := w.objects[name].Group
			require.NoError(t, w.rdb.Del(w.ctx, w.keys.outage(group)[key]).Err())
			_, err := w.Snapshot(w.ctx, group, "", true)
			require.ErrorIs(t, err, ErrNotImported)
			swept, err := w.Sweep(w.ctx, ShardOf(group))
			require.NoError(t, err)
			require.Empty(t, swept.Epoch)
		}
	}
}
