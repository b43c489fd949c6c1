package aggregator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stormfold/stormfold/config"
)

// content is what an incident shows, times and revision aside.
func content(o Object) string {
	type member struct {
		Fingerprint, Severity string
		Firing                bool
		Resource              Resource
	}
	var members []member
	for _, m := range o.Members {
		members = append(members, member{m.Fingerprint, m.Severity, m.Firing, m.Resource})
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	raw, err := json.Marshal([]any{o.Name, o.State, o.Storm, o.Total, o.Firing, o.Beyond, o.Truncated, o.CommonLabels, members})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// deliver opens a storm and delivers events to it in an order, and returns what the incident shows then.
func deliver(t *testing.T, order []int, events func(*lab) [][]Alert) string {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(20 * time.Minute)
	all := events(l)
	for _, i := range order {
		_, err := l.Fold(l.ctx, Split(config.Policies{l.policy}, Batch{Alerts: all[i]}), func(Group) string { return "stormfold" })
		require.NoError(t, err)
	}
	l.pass(20 * time.Second) // A lease that a fold granted was not used.
	l.flush(f.Group, "")
	return content(l.one(Open))
}

// Inside an open storm any permutation and any duplication of the same events ends in the same incident.
func TestOrderInsideAnOpenStorm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 7).Draw(rt, "events")
		type saying struct {
			Pod, Age, Over int
			Status         Status
		}
		said := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) saying {
			return saying{
				Pod: rapid.IntRange(1, 9).Draw(t, "pod"), Age: rapid.SampledFrom([]int{0, 1, 30, 300, 720}).Draw(t, "age"),
				Over: rapid.SampledFrom([]int{0, 900}).Draw(t, "over"), Status: rapid.SampledFrom([]Status{Firing, Resolved}).Draw(t, "status"),
			}
		}), 1, 4), n, n).Draw(rt, "said")
		// web-0 fires all the while: the storm stays open.
		events := func(l *lab) [][]Alert {
			var out [][]Alert
			for _, event := range said {
				var alerts []Alert
				for _, s := range event {
					a := l.alert(fmt.Sprintf("web-%d", s.Pod), s.Status)
					a.NotifiedAt = l.now.Add(-time.Duration(s.Age) * time.Second)
					if s.Status == Resolved {
						a.EndsAt = a.NotifiedAt.Add(-time.Duration(s.Over) * time.Second)
					}
					alerts = append(alerts, a)
				}
				out = append(out, alerts)
			}
			return out
		}
		straight := make([]int, n)
		for i := range straight {
			straight[i] = i
		}
		shuffled := rapid.Permutation(straight).Draw(rt, "order")
		again := rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 5).Draw(rt, "again")
		require.Equal(rt, deliver(t, straight, events), deliver(t, append(shuffled, again...), events))
	})
}

// Words about one alert, by senders whose clocks differ, in every order.
func TestOrderOfWordsAboutOneAlert(t *testing.T) {
	type word struct {
		status Status
		at     time.Duration // The sender's clock, from now.
		starts time.Duration
	}
	for name, c := range map[string]struct {
		words []word
		fires bool
	}{
		"resolved before firing, 12 minutes apart": {[]word{{Firing, -12 * time.Minute, -12 * time.Minute}, {Resolved, 0, -12 * time.Minute}}, false},
		"a sender's clock 5 minutes fast": {[]word{
			{Firing, 5 * time.Minute, 0}, {Resolved, 6 * time.Minute, 0}, {Firing, 0, 0}, {Resolved, time.Minute, 0},
		}, false},
		"two senders 30 s apart": {[]word{
			{Firing, 0, 0}, {Firing, 30 * time.Second, 0}, {Resolved, time.Minute, 0}, {Resolved, 90 * time.Second, 0}, {Firing, 2 * time.Minute, 0},
		}, true},
		"startsAt moving back":                   {[]word{{Firing, 0, 0}, {Firing, time.Minute, -10 * time.Minute}}, true},
		"firing again with an old startsAt":      {[]word{{Firing, -2 * time.Minute, -5 * time.Minute}, {Resolved, -time.Minute, -5 * time.Minute}, {Firing, 0, -5 * time.Minute}}, true},
		"resolved beats firing of the same time": {[]word{{Firing, 0, 0}, {Resolved, 0, 0}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var results []string
			permute(len(c.words), func(order []int) {
				results = append(results, deliver(t, order, func(l *lab) [][]Alert {
					var out [][]Alert
					for _, w := range c.words {
						a := l.alert("other", w.status)
						a.NotifiedAt, a.StartsAt = l.now.Add(w.at), l.now.Add(w.starts)
						out = append(out, []Alert{a})
					}
					return out
				}))
			})
			for _, r := range results {
				require.Equal(t, results[0], r)
			}
			want := 6
			if c.fires {
				want = 7
			}
			require.Contains(t, results[0], fmt.Sprintf(`,true,7,%d,0,false,`, want))
		})
	}
}

// permute calls visit with every order of n things.
func permute(n int, visit func([]int)) {
	var place func([]int)
	place = func(order []int) {
		if len(order) == n {
			visit(slices.Clone(order))
			return
		}
		for i := range n {
			if !slices.Contains(order, i) {
				place(append(order, i))
			}
		}
	}
	place(nil)
}
