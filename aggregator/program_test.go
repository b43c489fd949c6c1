package aggregator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/config"
)

// program runs the same random operations on the scripts, in a real Redis, and on the model, and compares them after each.
type program struct {
	*lab
	*oracle
	rt    *rapid.T
	said  [][]Alert // Events that may come again, or late.
	group string
	rev   int64
	steps *int
}

var programGroup = GroupID("default", map[string]string{"alertname": "PodDown"})

// programPolicy reaches every transition in a short program.
func programPolicy(p *config.Policy) {
	p.Threshold, p.Window, p.Quiet, p.MaxDuration = 3, time.Minute, 30*time.Minute, 2*time.Hour
	p.Cooldown, p.Retention, p.MaxAlerts = 5*time.Minute, 3*time.Hour, 6
}

func TestPrograms(t *testing.T) {
	steps := 0
	deadline := time.Now()
	if soak := os.Getenv("STORMFOLD_TESTBED_SOAK"); soak != "" {
		d, err := time.ParseDuration(soak)
		require.NoError(t, err)
		deadline = deadline.Add(d)
	}
	for steps < 20000 || time.Now().Before(deadline) {
		rapid.Check(t, func(rt *rapid.T) {
			l := newLab(t, programPolicy)
			p := &program{lab: l, oracle: newOracle(l.policy), rt: rt, group: programGroup, steps: &steps}
			rt.Repeat(map[string]func(*rapid.T){
				"":              p.compare,
				"fold":          p.foldNew,
				"fold more":     p.foldNew,
				"redeliver":     p.redeliver,
				"say later":     p.sayLater,
				"seconds pass":  func(rt *rapid.T) { p.pass(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second) },
				"minutes pass":  func(rt *rapid.T) { p.pass(time.Duration(rapid.IntRange(2, 40).Draw(rt, "minutes")) * time.Minute) },
				"hours pass":    func(rt *rapid.T) { p.pass(time.Duration(rapid.IntRange(1, 4).Draw(rt, "hours")) * time.Hour) },
				"flush":         p.flushAll,
				"lose a lease":  func(rt *rapid.T) { p.partly(rt, 0) },
				"settle partly": func(rt *rapid.T) { p.partly(rt, rapid.IntRange(0, 20).Draw(rt, "written")) },
				"sweep":         p.sweepAll,
				"restart": func(*rapid.T) {
					p.Aggregator = New(Options{Redis: p.rdb, Lease: 20 * time.Second, Clock: func() time.Time { return p.now }})
					require.NoError(p.rt, p.rdb.ScriptFlush(p.ctx).Err())
				},
				"policy": func(rt *rapid.T) {
					p.lab.policy.Threshold = rapid.IntRange(1, 5).Draw(rt, "threshold")
					p.lab.policy.MaxAlerts = rapid.IntRange(5, 8).Draw(rt, "maxAlerts")
					p.oracle.policy = p.lab.policy
				},
			})
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d steps", steps)
}

func (p *program) alert(rt *rapid.T) Alert {
	status := rapid.SampledFrom([]Status{Firing, Firing, Resolved}).Draw(rt, "status")
	a := p.lab.alert(fmt.Sprintf("web-%d", rapid.IntRange(0, 8).Draw(rt, "pod")), status)
	a.NotifiedAt = p.now.Add(-rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, time.Minute, 14 * time.Minute}).Draw(rt, "age"))
	if status == Resolved {
		a.EndsAt = a.NotifiedAt.Add(-rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Minute}).Draw(rt, "over for"))
	}
	return a
}

func (p *program) event(rt *rapid.T) []Alert {
	seen := map[string]bool{}
	var out []Alert
	for range rapid.IntRange(1, 5).Draw(rt, "alerts") {
		if a := p.alert(rt); !seen[a.Fingerprint] {
			seen[a.Fingerprint] = true
			out = append(out, a)
		}
	}
	return out
}

func (p *program) foldNew(rt *rapid.T) {
	event := p.event(rt)
	p.said = append(p.said, event)
	p.foldBoth(event, rapid.IntRange(0, 30).Draw(rt, "truncated") == 30)
}

// sayLater is an event that is on its way for a while.
func (p *program) sayLater(rt *rapid.T) { p.said = append(p.said, p.event(rt)) }

func (p *program) redeliver(rt *rapid.T) {
	if len(p.said) == 0 {
		return
	}
	p.foldBoth(p.said[rapid.IntRange(max(0, len(p.said)-6), len(p.said)-1).Draw(rt, "event")], false)
}

func (p *program) foldBoth(event []Alert, truncated bool) {
	folded, err := p.Fold(p.ctx, Split(config.Policies{p.lab.policy}, Batch{Alerts: event, Truncated: truncated}),
		func(Group) string { return "stormfold" })
	require.NoError(p.rt, err)
	if folded[0].Token != "" {
		// The lease is given back unused: the programs write when they choose to.
		_, err := p.Settle(p.ctx, &Snapshot{Group: p.group, Shard: ShardOf(p.group), Token: folded[0].Token}, nil, 0)
		require.NoError(p.rt, err)
	}
	p.oracle.fold(event, truncated, p.now)
}

// snapshotBoth takes a snapshot, which tells the pod what to write.
func (p *program) snapshotBoth() *Snapshot {
	exists := p.rdb.Exists(p.ctx, groupKeys(ShardOf(p.group), p.group)[0]).Val() == 1
	s, err := p.Snapshot(p.ctx, p.group, "", true)
	require.NoError(p.rt, err)
	if exists {
		p.oracle.snapshot(p.now)
		p.name()
	}
	if s != nil {
		for _, o := range s.Objects {
			if i := p.find(o.Name); i != nil {
				i.told = true
			}
		}
	}
	return s
}

func (p *program) flushAll(*rapid.T) {
	for range 100 {
		s := p.snapshotBoth()
		if s == nil || len(s.Objects) == 0 {
			p.flushed(p.now)
			p.compareWritten()
			return
		}
		p.settle(s)
	}
	p.rt.Fatal("the group never comes to rest")
}

// partly takes a snapshot, writes some of it, and loses the lease.
func (p *program) partly(*rapid.T, int) {
	s := p.snapshotBoth()
	if s != nil && len(s.Objects) > 0 {
		p.pass(20 * time.Second)
	}
}

func (p *program) sweepAll(rt *rapid.T) {
	groups, _, err := p.Sweep(p.ctx, ShardOf(p.group))
	require.NoError(p.rt, err)
	if slices.Contains(groups, p.group) {
		p.flushAll(rt)
		return
	}
	// What is not due has nothing to do: no deadline has come, nothing is unwritten.
	for _, i := range p.incidents {
		if i.state == Open {
			require.Empty(p.rt, p.overdue(i, p.now), "%+v should be due", i)
		} else {
			require.Less(p.rt, p.now.Sub(i.ended), p.oracle.policy.Retention, "%+v should be due", i)
		}
	}
}

func (p *program) find(name string) *incident {
	for _, i := range p.incidents {
		if i.name == name {
			return i
		}
	}
	return nil
}

// entries are the objects as they stand in Redis.
func (p *program) entries() map[string]entry {
	out := map[string]entry{}
	for name, raw := range p.rdb.HGetAll(p.ctx, groupKeys(ShardOf(p.group), p.group)[3]).Val() {
		if strings.HasSuffix(name, "#") {
			continue
		}
		out[name] = decodeEntry(p.rt, raw)
	}
	return out
}

// name gives the model's new incidents the names that the scripts made for them.
func (p *program) name() {
	entries := p.entries()
	for _, i := range p.incidents {
		if i.name != "" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			if entries[name].Fingerprint == i.fingerprint && entries[name].At == i.opened.UnixMilli() && p.find(name) == nil {
				i.name = name
				break
			}
		}
	}
}

// compare holds the model and Redis together.
func (p *program) compare(*rapid.T) {
	*p.steps++
	keys := groupKeys(ShardOf(p.group), p.group)
	g := p.rdb.HGetAll(p.ctx, keys[0]).Val()
	if len(g) == 0 {
		require.Empty(p.rt, p.incidents, "the group is gone with incidents left")
		*p.oracle = *newOracle(p.oracle.policy)
		p.rev = 0
		return
	}
	// What was over and forgotten for long enough may be gone.
	records := p.rdb.HGetAll(p.ctx, keys[1]).Val()
	for fp, w := range p.alerts {
		if _, there := records[fp]; !there {
			require.False(p.rt, w.live() || w.member, "alert %s is lost", fp)
			require.GreaterOrEqual(p.rt, p.now.Sub(w.at), p.oracle.policy.Quiet, "alert %s was forgotten too early", fp)
			delete(p.alerts, fp)
		}
	}
	number := func(field string) int64 {
		n, err := strconv.ParseInt(cmp.Or(g[field], "0"), 10, 64)
		require.NoError(p.rt, err, field)
		return n
	}
	require.GreaterOrEqual(p.rt, number("rev"), p.rev, "the revision went back")
	p.rev = number("rev")

	state := "calm"
	if p.storm != nil {
		state = "storm"
		if p.cool {
			state = "cool"
		}
		total, firing := p.counts()
		require.EqualValues(p.rt, []int64{int64(total), int64(firing), int64(p.beyond)}, []int64{number("n"), number("f"), number("x")}, "members, firing, beyond")
		require.Equal(p.rt, p.truncated, g["tr"] == "1", "truncated")
	}
	require.Equal(p.rt, state, cmp.Or(g["st"], "calm"))

	p.name()
	entries := p.entries()
	want, have := map[string]string{}, map[string]string{}
	for _, i := range p.incidents {
		// Those that no pod was told to write may be dropped at once or with the next snapshot.
		if i.pending && !i.told {
			delete(entries, i.name)
			continue
		}
		by := ""
		if i.absorbedBy != nil && !i.pending {
			by = i.absorbedBy.name
		}
		want[i.name] = fmt.Sprint(i.storm, i.state, i.reason, i.reopened, by)
	}
	for name, e := range entries {
		have[name] = fmt.Sprint(e.Type == "S", e.State, e.Reason, e.Reopened, e.AbsorbedBy)
	}
	require.Equal(p.rt, want, have)

	for fp, w := range p.alerts {
		m, member, err := parseRecord(fp, records[fp], number("gen"))
		require.NoError(p.rt, err)
		require.Equal(p.rt, w.live(), member && m.Firing, "alert %s fires", fp)
		if p.storm != nil {
			require.Equal(p.rt, w.member, member, "alert %s is a member", fp)
		}
	}
	if len(p.incidents) > 0 {
		due, err := p.rdb.ZScore(p.ctx, dueKey(ShardOf(p.group)), p.group).Result()
		require.NoError(p.rt, err, "the group is in the due index")
		require.Less(p.rt, due, float64(p.now.Add(4*time.Hour).UnixMilli()))
	}
}

// compareWritten holds what was written last to the model, once nothing is left to write.
func (p *program) compareWritten() {
	want, have := map[string]string{}, map[string]string{}
	for _, i := range p.incidents {
		total, firing := 1, 0
		switch {
		case i == p.storm:
			total, firing = p.counts()
			total += p.beyond
		case i.storm:
			total, firing = i.total, i.firing
		case i.state == Open, i.state == TakenOver, i.reason != "AllResolved":
			firing = 1
		}
		want[i.name] = fmt.Sprint(i.storm, i.state, i.reason, total, firing)
	}
	for name, o := range p.objects {
		have[name] = fmt.Sprint(o.Storm, o.State, o.Reason, o.Total+o.Beyond, o.Firing)
	}
	require.Equal(p.rt, want, have, "what stands in Kubernetes")
}

func decodeEntry(t require.TestingT, raw string) entry {
	var e entry
	require.NoError(t, json.Unmarshal([]byte(raw), &e))
	return e
}
