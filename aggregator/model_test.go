package aggregator

import (
	"errors"
	commandLine "flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/config"
)

// modelSteps is how many steps of random programs are enough for one run of the tests; STORMFOLD_TESTBED_SOAK, a
// duration, makes it go on for longer.
const modelSteps = 20000

// rapidTB is the test around a random program, with the program's way to fail, so that rapid can make it smaller.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (t rapidTB) Helper()                        {}
func (t rapidTB) Errorf(format string, a ...any) { t.rt.Errorf(format, a...) }
func (t rapidTB) Fatalf(format string, a ...any) { t.rt.Fatalf(format, a...) }
func (t rapidTB) Fatal(a ...any)                 { t.rt.Fatal(a...) }
func (t rapidTB) FailNow()                       { t.rt.FailNow() }

// twin is the model of a group beside the group in Redis, and what a program keeps of both.
type twin struct {
	*lab
	m       *modelGroup
	group   string
	history [][]Alert // Events that were delivered.
	later   [][]Alert // Events on their way.
	granted string    // A lease that a fold gave and that nobody used yet.
	lost    []taken   // Snapshots whose pods are late, or dead.
	rev     int64
	names   map[string]string // Name of an incident by the model's key.
	gone    map[string]bool   // Objects that were deleted.
	busy    bool              // The snapshot taken last was refused.
}

// taken is a snapshot, and what it is in the model.
type taken struct {
	*Snapshot
	writes map[string]modelWrite
}

// The model and the scripts run the same random programs, and agree after every step.
func TestModel(t *testing.T) {
	setFlag(t, "rapid.steps", "120")
	soak := time.Duration(0)
	if s := os.Getenv("STORMFOLD_TESTBED_SOAK"); s != "" {
		var err error
		soak, err = time.ParseDuration(s)
		require.NoError(t, err)
	}
	steps, start := 0, time.Now()
	counts := map[string]int{}
	for !t.Failed() && (steps < modelSteps || time.Since(start) < soak) {
		rapid.Check(t, func(rt *rapid.T) {
			w := newTwin(rapidTB{t, rt})
			actions := w.actions()
			for name, action := range actions {
				actions[name] = func(rt *rapid.T) {
					action(rt)
					w.compare()
					steps++
					counts[name]++
				}
			}
			rt.Repeat(actions)
			w.wither()
		})
	}
	t.Logf("%d steps in %v: %v", steps, time.Since(start).Round(time.Second), counts)
	require.GreaterOrEqual(t, steps, modelSteps)
}

// setFlag sets one of rapid's flags for a test, unless the command line did.
func setFlag(t *testing.T, name, value string) {
	f := commandLine.Lookup(name)
	if old := f.Value.String(); old == f.DefValue {
		require.NoError(t, commandLine.Set(name, value))
		t.Cleanup(func() { _ = commandLine.Set(name, old) })
	}
}

func newTwin(t testing.TB) *twin {
	l := newLab(t, func(p *config.Policy) {
		p.Threshold, p.Window, p.Quiet, p.MaxDuration = 3, time.Minute, 30*time.Minute, 2*time.Hour
		p.Cooldown, p.Retention, p.MaxAlerts = 5*time.Minute, 3*time.Hour, 6
	})
	return &twin{
		lab: l, m: newGroupModel(l.policy), group: GroupID("default", map[string]string{"alertname": "PodDown"}),
		names: map[string]string{}, gone: map[string]bool{},
	}
}

func (w *twin) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"fold":    w.foldNew,
		"fold 2":  w.foldNew,
		"fold 3":  w.foldNew,
		"burst":   w.burst,
		"say":     func(rt *rapid.T) { w.later = append(w.later, w.event(rt, 6)) },
		"deliver": w.deliver,
		"again": func(rt *rapid.T) {
			if len(w.history) > 0 {
				w.foldBoth(w.history[rapid.IntRange(0, len(w.history)-1).Draw(rt, "event")], false, "")
			}
		},
		"seconds": w.passes(100*time.Millisecond, time.Second, 7*time.Second, 20*time.Second, 31*time.Second),
		"minutes": w.passes(time.Minute, 2*time.Minute, 5*time.Minute, 11*time.Minute, 30*time.Minute),
		"hours":   w.passes(time.Hour, 2*time.Hour, 3*time.Hour),
		"project": func(*rapid.T) { w.project(w.granted, false) },
		"flush":   func(*rapid.T) { w.flushBoth() },
		"sweep":   func(*rapid.T) { w.sweepBoth() },
		"die":     func(rt *rapid.T) { w.take(w.granted, rapid.Bool().Draw(rt, "at once")) },
		"partly":  w.partly,
		"late":    w.late,
		"restart": func(*rapid.T) {
			w.Aggregator = New(
				Options{Redis: w.rdb, Lease: 20 * time.Second, Resync: resync, Clock: func() time.Time { return w.now }},
			)
		},
		"scripts": func(*rapid.T) { require.NoError(w.t, w.rdb.ScriptFlush(w.ctx).Err()) },
		"policy": func(rt *rapid.T) {
			w.policy.Threshold = rapid.IntRange(1, 5).Draw(rt, "threshold")
			w.policy.Window = rapid.SampledFrom([]time.Duration{20 * time.Second, time.Minute, 3 * time.Minute}).
				Draw(rt, "window")
			w.policy.Quiet = rapid.SampledFrom([]time.Duration{20 * time.Minute, 30 * time.Minute}).Draw(rt, "quiet")
			w.policy.Cooldown = rapid.SampledFrom([]time.Duration{2 * time.Minute, 5 * time.Minute}).Draw(rt, "cooldown")
			w.policy.MaxAlerts = rapid.IntRange(4, 8).Draw(rt, "maxAlerts")
		},
	}
}

func (w *twin) passes(some ...time.Duration) func(*rapid.T) {
	return func(rt *rapid.T) { w.pass(rapid.SampledFrom(some).Draw(rt, "time")) }
}

// event says something about some alerts, now or a while ago.
func (w *twin) event(rt *rapid.T, most int) []Alert {
	var out []Alert
	for range rapid.IntRange(1, most).Draw(rt, "alerts") {
		status := rapid.SampledFrom([]Status{Firing, Firing, Resolved}).Draw(rt, "status")
		pod := rapid.IntRange(0, 8).Draw(rt, "pod")
		if rapid.IntRange(0, 9).Draw(rt, "rare") == 9 {
			pod += 9
		}
		a := w.alert(fmt.Sprintf("web-%d", pod), status)
		ago := []time.Duration{
			0,
			0,
			0,
			time.Millisecond,
			30 * time.Second,
			2 * time.Minute,
			12 * time.Minute,
			-5 * time.Minute,
		}
		a.NotifiedAt = w.now.Add(-rapid.SampledFrom(ago).Draw(rt, "ago"))
		a.StartsAt = w.now.Add(
			-rapid.SampledFrom([]time.Duration{0, time.Minute, 4 * time.Minute, 2 * time.Hour}).Draw(rt, "starts"),
		)
		if status == Resolved {
			a.EndsAt = rapid.SampledFrom([]time.Time{{}, a.NotifiedAt, w.now.Add(-5 * time.Minute), w.now.Add(-time.Hour)}).
				Draw(rt, "ends")
		}
		if rapid.IntRange(0, 4).Draw(rt, "another source") == 4 {
			a.Source = rapid.SampledFrom([]string{"0a", "0b", "0c"}).Draw(rt, "source")
		}
		out = append(out, a)
	}
	return out
}

func (w *twin) foldNew(rt *rapid.T) {
	w.foldBoth(w.event(rt, 6), rapid.IntRange(0, 9).Draw(rt, "truncated") == 9,
		rapid.SampledFrom([]string{"", "", "1a", "2b"}).Draw(rt, "group key"))
}

// burst is an event of many alerts with one status.
func (w *twin) burst(rt *rapid.T) {
	w.foldBoth(
		w.pods(rapid.IntRange(2, 8).Draw(rt, "pods"), rapid.SampledFrom([]Status{Firing, Resolved}).Draw(rt, "status")),
		false,
		"",
	)
}

func (w *twin) deliver(rt *rapid.T) {
	if len(w.later) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.later)-1).Draw(rt, "event")
	event := w.later[i]
	w.later = slices.Delete(w.later, i, i+1)
	w.foldBoth(event, false, "")
}

// foldBoth folds an event into the group and into the model.
func (w *twin) foldBoth(event []Alert, truncated bool, key string) {
	w.history = append(w.history, event)
	for _, i := range w.m.incidents {
		if i.opened.Equal(w.now) {
			w.pass(time.Millisecond) // Two incidents of one alert differ in when they were opened.
			break
		}
	}
	batch := Batch{Alerts: event, Truncated: truncated, GroupKey: key}
	folded, err := w.Fold(w.ctx, Split(config.Policies{List: []config.Policy{w.policy}}, batch),
		func(Group) string { return "stormfold" })
	require.NoError(w.t, err)
	words := make([]modelWord, len(event))
	for i, a := range event {
		words[i] = modelWord{a.Fingerprint, a.Source, a.Status == Resolved, a.NotifiedAt, a.StartsAt, a.EndsAt}
	}
	before := w.m.changes
	newly := w.m.fold(w.now, w.policy, words, truncated, key)
	f := folded[0]
	require.Equal(w.t, newly, f.NewlyFiring, "newly firing")
	require.Equal(w.t, w.m.changes > before, f.Changed, "changed: %+v", f)
	require.Equal(w.t, w.m.state(), f.State)
	inWindow, leaves := 0, time.Time{}
	if w.m.storm == nil {
		inWindow = w.m.crowd(w.now)
	}
	for _, at := range w.m.recent {
		if until := at.Add(w.policy.Window); leaves.IsZero() || until.Before(leaves) {
			leaves = until
		}
	}
	require.Equal(w.t, inWindow, f.Window, "alerts that count towards a storm")
	require.Equal(w.t, leaves.UnixMilli(), f.WindowUntil.UnixMilli(), "when the oldest leaves the window")
	w.compareSaid(f.Transitions)
	if f.Token != "" {
		require.True(w.t, f.Changed, "a lease for nothing")
		require.False(w.t, w.m.until.After(w.now), "two leases")
		w.m.token, w.m.until, w.m.granted = f.Token, w.now.Add(20*time.Second), w.m.changes
		w.granted = f.Token
	}
}

// take takes a snapshot of both. It returns false when there is nothing to write now.
func (w *twin) take(token string, force bool) bool {
	var busy *Busy
	leased := w.m.until.After(w.now)
	w.granted = ""
	looked := w.attention()
	s, err := w.Snapshot(w.ctx, w.group, token, force)
	if w.busy = errors.As(err, &busy); w.busy {
		switch {
		case leased && token != w.m.token:
			require.Equal(w.t, w.m.until.UnixMilli(), busy.Until.UnixMilli(), "the end of the lease")
		case leased: // All there is came after the fold that granted the lease: it waits for the next flush.
			require.Equal(w.t, w.policy.Flush.Min, busy.Until.Sub(w.now))
			w.compareSnapshot(&Snapshot{}, looked, force, leased)
		default:
			require.False(w.t, force, "nobody holds this up")
			require.LessOrEqual(w.t, busy.Until.Sub(w.now), w.policy.Flush.Max, "the flush interval")
		}
		return false
	}
	require.NoError(w.t, err)
	require.False(w.t, leased && token != w.m.token && w.m.there, "another pod has the lease")
	if s == nil {
		w.compareSnapshot(&Snapshot{}, looked, force, leased)
		return false
	}
	t := w.compareSnapshot(s, looked, force, leased)
	if len(s.Objects) > 0 {
		w.lost = append(w.lost, t)
	}
	return len(s.Objects) > 0
}

// write confirms some objects of the snapshot taken last, or of an older one.
func (w *twin) write(t taken, some func(Object) bool, delay time.Duration) {
	var confirmed []Confirmed
	var writes []modelWrite
	for _, o := range t.Objects {
		if !some(o) {
			continue
		}
		c := Confirmed{Name: o.Name, Namespace: o.Namespace, Revision: o.Revision, ResourceVersion: "7"}
		switch {
		case o.Delete:
			delete(w.objects, o.Name)
			w.gone[o.Name] = true
			c = Confirmed{Name: o.Name, Namespace: o.Namespace}
		case !w.gone[o.Name] && o.Revision >= w.objects[o.Name].Revision: // As the revision in Kubernetes would see to.
			w.objects[o.Name] = o
		}
		confirmed, writes = append(confirmed, c), append(writes, t.writes[o.Name])
	}
	_, err := w.Settle(w.ctx, t.Snapshot, confirmed, delay)
	require.NoError(w.t, err)
	w.m.settle(t.Token, writes)
}

// project does what a pod does: snapshot, Kubernetes, settle.
func (w *twin) project(token string, force bool) bool {
	if !w.take(token, force) {
		return false
	}
	t := w.lost[len(w.lost)-1]
	w.lost = w.lost[:len(w.lost)-1]
	w.write(t, func(Object) bool { return true }, 0)
	return true
}

// late is a pod that comes back with what it had to write a while ago.
func (w *twin) late(rt *rapid.T) {
	if len(w.lost) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.lost)-1).Draw(rt, "snapshot")
	t := w.lost[i]
	w.lost = slices.Delete(w.lost, i, i+1)
	w.write(t, func(Object) bool { return true }, 0)
}
