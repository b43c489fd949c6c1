package aggregator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// partly writes some objects of a snapshot; the rest fails.
func (w *twin) partly(rt *rapid.T) {
	if !w.take(w.granted, rapid.Bool().Draw(rt, "at once")) {
		return
	}
	t := w.lost[len(w.lost)-1]
	w.lost = w.lost[:len(w.lost)-1]
	delay := rapid.SampledFrom([]time.Duration{0, 3 * time.Second}).Draw(rt, "delay")
	n, left := 0, rapid.IntRange(0, 2).Draw(rt, "written")
	w.write(t, func(Object) bool { n++; return n <= left }, delay)
}

// flushBoth writes all there is. Then what is in Kubernetes is what the model says.
func (w *twin) flushBoth() {
	if w.m.until.After(w.now) && w.granted == "" {
		w.now = w.m.until
	}
	for n := 0; w.project(w.granted, true); n++ {
		require.Less(w.t, n, 50, "the group always has something to write")
	}
	w.compareWritten()
}

// sweepBoth continues with what is due.
func (w *twin) sweepBoth() {
	swept, err := w.Sweep(w.ctx, ShardOf(w.group))
	require.NoError(w.t, err)
	for _, group := range swept.Groups {
		require.Equal(w.t, w.group, group)
		for n := 0; w.project("", false); n++ {
			require.Less(w.t, n, 50, "the group always has something to write")
		}
	}
	swept, err = w.Sweep(w.ctx, ShardOf(w.group))
	require.NoError(w.t, err)
	require.True(w.t, len(swept.Groups) == 0 || w.busy, "a group stays due and has nothing to do")
}

// wither lets time pass until nothing is left.
func (w *twin) wither() {
	for range 3 {
		w.pass(4 * time.Hour)
		w.granted = ""
		w.flushBoth()
		w.compare()
	}
	require.False(w.t, w.m.there, "the group goes when nothing is left of it")
	require.Empty(w.t, w.objects)
}

// attention names the objects that want some now. A deadline that a new policy brought forward may be met at the old
// one.
func (w *twin) attention() []string {
	names, err := w.rdb.ZRangeArgs(w.ctx, redis.ZRangeArgs{
		Key: w.keys.group(w.group).todo, ByScore: true, Start: "-inf", Stop: w.now.UnixMilli(),
	}).Result()
	require.NoError(w.t, err)
	return names
}

func (w *twin) compareSaid(said []Transition) {
	var kinds []string
	for _, t := range said {
		kinds = append(kinds, string(t.Type))
	}
	slices.Sort(kinds)
	slices.Sort(w.m.said)
	require.Equal(w.t, w.m.said, kinds, "transitions")
}

// compareSnapshot takes the model's snapshot and compares what is to be written. When more wants attention than one
// snapshot holds, each of its objects is compared, and the rest comes with the next.
func (w *twin) compareSnapshot(s *Snapshot, attention []string, force, leased bool) taken {
	t := taken{s, map[string]modelWrite{}}
	if !w.m.there {
		require.Empty(w.t, s.Objects)
		return t
	}
	w.name()
	token := s.Token
	if token == "" {
		token = "none"
	}
	exact := len(attention) <= 20
	looked := func(i *modelIncident) bool {
		return exact && (i.want > i.done || slices.Contains(attention, w.names[i.key])) ||
			slices.ContainsFunc(s.Objects, func(o Object) bool { return o.Name == w.names[i.key] })
	}
	writes, gone := w.m.snapshot(w.now, token, force, leased, 20*time.Second, looked)
	var want, have []string
	for _, m := range writes {
		total, firing := w.m.counts(m.incident)
		want = append(want, fmt.Sprint(w.names[m.incident.key], m.remove, w.describe(m.incident), total, firing))
		t.writes[w.names[m.incident.key]] = m
	}
	for _, o := range s.Objects {
		have = append(have, fmt.Sprint(o.Name, o.Delete, describeObject(o), o.Total, o.Firing))
	}
	slices.Sort(want)
	slices.Sort(have)
	require.Equal(w.t, want, have, "what is to be written")
	require.LessOrEqual(w.t, len(have), 20)
	if exact {
		w.compareSaid(s.Transitions)
	}
	if gone {
		*w.m = *newGroupModel(w.policy)
		w.rev = 0
	}
	return t
}

func (w *twin) describe(i *modelIncident) string {
	by := ""
	if i.state == StateAbsorbed {
		by = w.names[i.absorbing.key]
	}
	return fmt.Sprintf(
		" storm=%v %v %q by=%q reopened=%d beyond=%d truncated=%v ",
		i.storm,
		i.state,
		i.reason,
		by,
		i.reopened,
		i.beyond,
		i.truncated,
	)
}

func describeObject(o Object) string {
	return fmt.Sprintf(
		" storm=%v %v %q by=%q reopened=%d beyond=%d truncated=%v ",
		o.Storm,
		o.State,
		o.Reason,
		o.AbsorbedBy,
		o.Reopened,
		o.Beyond,
		o.Truncated,
	)
}

// compareWritten compares what is in Kubernetes when nothing is left to write.
func (w *twin) compareWritten() {
	want, have := map[string]string{}, map[string]string{}
	for key, i := range w.m.incidents {
		total, firing := w.m.counts(i)
		want[w.names[key]] = fmt.Sprint(w.describe(i), total, firing)
	}
	for name, o := range w.objects {
		have[name] = fmt.Sprint(describeObject(o), o.Total, o.Firing)
		if o.Storm && o.State == StateFiring {
			all, _ := w.m.members()
			var fps []string
			for _, m := range o.Members {
				fps = append(fps, m.Fingerprint)
			}
			require.ElementsMatch(w.t, all, fps, "members")
		}
	}
	require.Equal(w.t, want, have, "what is in Kubernetes")
}

// stored is an entry as Redis has it.
func (w *twin) stored(name string) entry {
	raw, err := w.rdb.HGet(w.ctx, w.keys.group(w.group).objects, name).Result()
	require.NoError(w.t, err)
	var e entry
	require.NoError(w.t, json.Unmarshal([]byte(raw), &e))
	return e
}

// name learns the names that the scripts gave to new incidents.
func (w *twin) name() map[string]entry {
	out := map[string]entry{}
	all, err := w.rdb.HGetAll(w.ctx, w.keys.group(w.group).objects).Result()
	require.NoError(w.t, err)
	for name, raw := range all {
		if strings.HasSuffix(name, "#") {
			continue
		}
		var e entry
		require.NoError(w.t, json.Unmarshal([]byte(raw), &e))
		key := modelKey(e.Fingerprint, time.UnixMilli(e.OpenedAt))
		w.names[key] = name
		out[key] = e
	}
	require.Len(w.t, all, 2*len(out), "entries and facts")
	return out
}

// compare compares the whole of the group.
func (w *twin) compare() {
	w.t.Helper()
	keys := w.keys.group(w.group).list()
	pipe := w.rdb.Pipeline()
	hash, alerts := pipe.HGetAll(w.ctx, keys[0]), pipe.HGetAll(w.ctx, keys[1])
	recent, open := pipe.ZRange(w.ctx, keys[2], 0, -1), pipe.ZCard(w.ctx, keys[4])
	counted := pipe.HMGet(w.ctx, w.keys.groups(ShardOf(w.group)), "#A", "#S")
	due := pipe.ZScore(w.ctx, w.keys.due(ShardOf(w.group)), w.group)
	_, err := pipe.Exec(w.ctx)
	inOpen := func(n int64) any {
		if n == 0 {
			return nil
		}
		return strconv.FormatInt(n, 10)
	}
	storms := int64(0)
	if hash.Val()["state"] == "storm" {
		storms = 1
	}
	require.Equal(w.t, []any{inOpen(open.Val()), inOpen(storms)}, counted.Val(), "the shard's numbers of open incidents")
	if !w.m.there {
		require.ErrorIs(w.t, err, redis.Nil)
		require.Empty(w.t, hash.Val())
		require.Zero(w.t, w.rdb.Exists(w.ctx, keys...).Val(), "nothing is left of a group that is gone")
		return
	}
	require.NoError(w.t, err)
	g := hash.Val()
	number := func(field string) int64 {
		n, err := strconv.ParseInt(cmp.Or(g[field], "0"), 10, 64)
		require.NoError(w.t, err, field)
		return n
	}
	require.Equal(w.t, w.m.state(), cmp.Or(g["state"], "calm"))
	require.GreaterOrEqual(w.t, number("revision"), w.rev, "the revision goes back")
	w.rev = number("revision")
	w.compareAlerts(alerts.Val(), number("since"), number("generation"))
	if w.m.storm != nil {
		all, firing := w.m.members()
		e := w.stored(g["object"])
		require.Equal(w.t, []int{len(all), firing}, []int{e.Total, e.Firing}, "members, firing")
		require.EqualValues(w.t, w.m.storm.beyond, e.Beyond)
		require.Equal(w.t, w.m.storm.truncated, e.Truncated, "truncated")
	}
	require.ElementsMatch(w.t, slices.Collect(maps.Keys(w.m.recent)), recent.Val())

	want, have := map[string]string{}, map[string]string{}
	unwritten, entries := false, w.name()
	for key, i := range w.m.incidents {
		want[key] = fmt.Sprint(w.describe(i), " told=", i.told, " unwritten=", i.want > i.done)
		unwritten = unwritten || i.want > i.done
	}
	for key, e := range entries {
		o := Object{
			Storm: e.storm(), State: e.State, Reason: e.Reason, AbsorbedBy: e.AbsorbedBy, Reopened: e.Reopened,
			Beyond: e.Beyond, Truncated: e.Truncated,
		}
		have[key] = fmt.Sprint(describeObject(o), " told=", e.Told, " unwritten=", e.Revision > e.Confirmed)
	}
	require.Equal(w.t, want, have, "objects")
	require.EqualValues(w.t, w.m.singles(), open.Val(), "open incidents of single alerts")
	w.compareDue(int64(due.Val()), unwritten)
}

// compareDue checks that the group is due in time.
func (w *twin) compareDue(due int64, unwritten bool) {
	last := func(t time.Time) int64 { return max(t.UnixMilli(), w.m.until.UnixMilli()) }
	soon := w.now.Add(w.policy.Flush.Max)
	if unwritten {
		require.LessOrEqual(w.t, due, last(soon), "what is unwritten is due")
	}
	// A deadline that a new policy brought forward is met when the group is reported again, or at the old one.
	if at := w.m.deadline(30*time.Minute, 2*time.Hour); !at.IsZero() {
		if at.Before(soon) {
			at = soon // It may wait for the flush interval.
		}
		require.LessOrEqual(w.t, due, last(at), "a deadline")
	}
}

// compareAlerts compares what is known of each alert. Words that had their time may be forgotten.
func (w *twin) compareAlerts(records map[string]string, since, generation int64) {
	many := len(w.m.alerts) > 2*w.m.p.MaxAlerts
	for fp, x := range w.m.alerts {
		if _, there := records[fp]; there {
			continue
		}
		age := w.now.Sub(time.UnixMilli(x.at))
		require.False(w.t, x.firing() || w.m.storm != nil && x.in == w.m.storm, "alert %s is forgotten", fp)
		require.True(w.t, age >= 20*time.Minute || many && age >= w.m.p.Cooldown, "alert %s is forgotten early", fp)
		delete(w.m.alerts, fp)
	}
	want, have := map[string]string{}, map[string]string{}
	for fp, x := range w.m.alerts {
		status := "resolved"
		switch {
		case x.firing():
			status = "firing"
		case x.closed:
			status = "closed"
		}
		want[fp] = fmt.Sprint(status, " ", x.at, " member=", w.m.storm != nil && x.in == w.m.storm, " hidden=", x.hidden)
	}
	for fp, record := range records {
		parts := strings.Split(record, sep)
		_, member, err := memberOf(fp, record, since, generation)
		require.NoError(w.t, err)
		status := "closed"
		switch {
		case parts[0][0] == 'r':
			status = "resolved"
		case parts[0][0] == 'f' && member:
			status = "firing"
		}
		have[fp] = fmt.Sprint(status, " ", parts[1], " member=", w.m.storm != nil && member, " hidden=", parts[0][1] == 't')
	}
	require.Equal(w.t, want, have, "alerts")
}
