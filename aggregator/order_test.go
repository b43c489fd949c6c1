package aggregator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/config"
)

// outcome is what a group is like after some events, times and revisions aside: each alert's status, and the incidents
// that stand, by what they say.
type outcome struct {
	Alerts    map[string]string
	Incidents []string
}

// outcome flushes the group and looks at it.
func (l *lab) outcome(group string) outcome {
	l.pass(20 * time.Second) // Leases that folds granted are over.
	l.flush(group, "")
	out := outcome{Alerts: map[string]string{}}
	for fp, record := range l.rdb.HGetAll(l.ctx, l.keys.group(group).alerts).Val() {
		parts := strings.Split(record, sep)
		out.Alerts[fp] = parts[0][:1] + " " + parts[1] // The last report: status and notifiedAt.
	}
	for _, o := range l.objects {
		var members []string
		for _, m := range o.Members {
			members = append(members, fmt.Sprint(m.Fingerprint, m.Firing, m.Severity, m.Resource))
		}
		slices.Sort(members)
		out.Incidents = append(out.Incidents, fmt.Sprint(o.Storm, o.State, o.Reason, o.Total, o.Firing, o.Beyond, o.Truncated,
			o.CommonLabels, members))
	}
	slices.Sort(out.Incidents)
	return out
}

// orderLab is a group with a past: alerts old-0 to old-4 were in a storm that is long over. In the storm that is open
// now, if there is one, anchor goes on firing.
func orderLab(t testing.TB, storm bool) (l *lab, group string) {
	l = newLab(t, func(p *config.Policy) { p.Threshold = 4 })
	fold := func(status Status, pods ...string) {
		var alerts []Alert
		for _, pod := range pods {
			alerts = append(alerts, l.alert(pod, status))
		}
		f := l.fold(alerts...)
		group = f.Group
		l.flush(group, f.Token)
		l.pass(30 * time.Minute)
	}
	old := []string{"old-0", "old-1", "old-2", "old-3", "old-4"}
	fold(Firing, old...)
	fold(Resolved, old...)
	if storm {
		fold(Firing, "anchor", "web-0", "web-1", "web-2")
	} else {
		fold(Firing, "anchor")
		l.policy.Threshold = 1000
	}
	return l, group
}

// Any order and any repetition of the same events ends in the same: inside an open storm in the same incident, outside
// in the same status of every alert and the same counts.
func TestAnyOrder(t *testing.T) {
	for _, storm := range []bool{true, false} {
		t.Run(fmt.Sprintf("storm=%v", storm), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				l, group := orderLab(rapidTB{t, rt}, storm)
				var events [][]Alert
				for range rapid.IntRange(2, 6).Draw(rt, "events") {
					events = append(events, orderEvent(rt, l))
				}
				for _, event := range events {
					l.fold(event...)
				}
				want := l.outcome(group)

				more := slices.Clone(events)
				for range rapid.IntRange(0, 4).Draw(rt, "twice") {
					more = append(more, events[rapid.IntRange(0, len(events)-1).Draw(rt, "event")])
				}
				again, group := orderLab(rapidTB{t, rt}, storm)
				for _, i := range rapid.Permutation(indices(len(more))).Draw(rt, "order") {
					again.fold(more[i]...)
					if storm {
						again.pass(time.Second)
					}
				}
				require.Equal(rt, want, again.outcome(group))
			})
		})
	}
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// orderEvent is an event of alerts that the group knows, from now or from earlier, and does not know.
func orderEvent(rt *rapid.T, l *lab) []Alert {
	pods := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		"web-0", "web-1", "web-2", "web-3", "web-4", "web-5", "old-0", "old-1", "old-2",
	}), 1, 3, rapid.ID).Draw(rt, "pods")
	ago := rapid.SampledFrom([]time.Duration{
		-5 * time.Minute, 0, 0, time.Second, 30 * time.Second, 12 * time.Minute, 35 * time.Minute, 2 * time.Hour,
	}).Draw(rt, "ago")
	var event []Alert
	for _, pod := range pods {
		a := l.alert(pod, rapid.SampledFrom([]Status{Firing, Resolved}).Draw(rt, "status"))
		a.NotifiedAt = l.now.Add(-ago)
		if a.Status == Resolved {
			a.EndsAt = a.NotifiedAt.Add(-rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(rt, "over for"))
		}
		event = append(event, a)
	}
	return event
}

// said is a report about the pod of a case: when it was sent by the clock of its sender, and since when the alert
// fired.
type said struct {
	status     Status
	at, starts time.Duration
}

// What senders are known to do. The last report and the count of firing alerts are the same in every order of arrival.
func TestOrderOfKnownSenders(t *testing.T) {
	const m = time.Minute
	for name, c := range map[string]struct {
		words  []said
		firing bool
		starts time.Duration
	}{
		"resolved before firing, 12 minutes apart": {[]said{{Firing, 0, 0}, {Resolved, 12 * m, 0}}, false, 0},
		"a clock 5 minutes fast": {
			[]said{{Firing, 5 * m, 0}, {Firing, 1 * m, 0}, {Resolved, 4 * m, 0}, {Resolved, 9 * m, 0}}, false, 0,
		},
		"a clock 5 minutes fast that is not done yet": {[]said{{Firing, 1 * m, 0}, {Resolved, 4 * m, 0}, {Firing, 9 * m, 0}},
			true, 0},
		"two senders 30 s apart": {
			[]said{{Firing, 0, 0}, {Firing, m / 2, 0}, {Resolved, 10 * m, 0}, {Resolved, 10*m + m/2, 0}}, false, 0,
		},
		"two senders that agree to the millisecond": {[]said{{Firing, 3 * m, 0}, {Resolved, 3 * m, 0}}, false, 0},
		"startsAt moves back":                       {[]said{{Firing, 1 * m, 0}, {Firing, 2 * m, -3 * m}}, true, -3 * m},
		"startsAt moves back, and it is over": {[]said{{Firing, 1 * m, 0}, {Firing, 2 * m, -3 * m}, {Resolved, 3 * m,
			-3 * m}}, false, 0},
		"firing again with an old startsAt": {[]said{{Firing, 0, -m}, {Resolved, 2 * m, -m}, {Firing, 6 * m, -m}},
			true, -m},
		"firing again with an old startsAt, two words": {[]said{{Resolved, 2 * m, -m}, {Firing, 6 * m, -m}}, true, -m},
		"a slower peer reports a firing that is over": {[]said{{Firing, 0, -m}, {Resolved, 2 * m, -m}, {Firing, 2*m + m/2,
			-m}}, false, -m},
		"a slower peer reports an end before the firing": {
			[]said{{Firing, 0, -m}, {Resolved, 2 * m, -m}, {Firing, 5 * m, 4 * m}, {Resolved, 5*m + m/2, -m}}, true, 4 * m,
		},
	} {
		for _, storm := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, storm=%v", name, storm), func(t *testing.T) {
				first := outcome{}
				for order := range permutations(len(c.words)) {
					l, group := orderLab(t, storm)
					start := l.now
					l.pass(13 * m) // All reports have arrived, in this order.
					for _, i := range order {
						w := c.words[i]
						a := l.alert("case", w.status)
						a.NotifiedAt, a.StartsAt = start.Add(w.at), start.Add(w.starts)
						if w.status == Resolved {
							a.EndsAt = a.NotifiedAt
							if w.at == 5*m+m/2 {
								a.EndsAt = start.Add(2 * m) // Of the first firing.
							}
						}
						l.fold(a)
						l.pass(time.Second)
					}
					out := l.outcome(group)
					fp := l.alert("case", Firing).Fingerprint
					word := "r"
					if c.firing {
						word = "f"
					}
					require.Equal(t, word, out.Alerts[fp][:1], order)
					if c.firing && slices.IsSorted(order) {
						for _, o := range l.open() {
							i := slices.IndexFunc(o.Members, func(m Member) bool { return m.Fingerprint == fp })
							if i >= 0 && storm {
								require.True(t, start.Add(c.starts).Equal(o.Members[i].StartsAt), "the earliest start of the firing")
							}
						}
					}
					if first.Alerts == nil {
						first = out
					}
					require.Equal(t, first, out, order)
				}
			})
		}
	}
}

// permutations yields every order of n things.
func permutations(n int) func(func([]int) bool) {
	return func(yield func([]int) bool) {
		var rec func(done, left []int) bool
		rec = func(done, left []int) bool {
			if len(left) == 0 {
				return yield(done)
			}
			for i := range left {
				rest := slices.Delete(slices.Clone(left), i, i+1)
				if !rec(append(slices.Clone(done), left[i]), rest) {
					return false
				}
			}
			return true
		}
		rec(nil, indices(n))
	}
}

// At the end by maxDuration what fires goes on in another incident, and neither what was said before nor a repetition
// changes that, in any order.
func TestRepeatsAfterMaxDuration(t *testing.T) {
	for _, n := range []int{1, 6} { // A single alert, and a storm.
		outcomes := map[string]bool{}
		for order := range permutations(3) {
			l := newLab(t, func(p *config.Policy) { p.MaxDuration = 10 * time.Hour })
			f := l.fold(l.pods(n, Firing)...)
			l.flush(f.Group, f.Token)
			l.pass(4 * time.Hour)
			last := l.pods(n, Firing)
			l.fold(last...)
			l.pass(4 * time.Hour)
			l.fold(l.pods(n, Firing)...)
			l.pass(2 * time.Hour)
			l.sweep()
			l.sweep()
			require.Equal(t, "MaxDuration", l.one(StateResolved).Reason)
			require.Equal(t, n, l.one(StateFiring).Firing, "no gap")
			require.False(t, l.fold(last...).Changed)

			l.pass(2 * time.Hour)
			repeat := l.pods(n, Firing)
			events := [][]Alert{last, repeat, repeat}
			for _, i := range order {
				l.fold(events[i]...)
			}
			out := l.outcome(f.Group)
			outcomes[fmt.Sprint(slices.Sorted(maps.Keys(out.Alerts)), out.Incidents)] = true
			require.Equal(t, n, l.one(StateFiring).Firing, "one incident: the same alert, or the same storm")
			require.Len(t, l.objects, 2)
		}
		require.Len(t, outcomes, 1)
	}
}
