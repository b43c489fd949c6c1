package aggregator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// from is an alert as one of its sources reports it.
func (l *lab) from(source string, status Status, starts, at time.Duration) Alert {
	a := l.alert("web-0", status)
	a.Source, a.StartsAt, a.NotifiedAt = source, epoch.Add(starts), epoch.Add(at)
	if status == Resolved {
		a.EndsAt = a.NotifiedAt
	}
	return a
}

// Two source alerts of one identity are one alert: it fires while either does, in whatever order, in one event or in
// several.
func TestTwoSourcesOfOneAlert(t *testing.T) {
	const m = time.Minute
	l := newLab(t, nil)
	moved := []Alert{
		l.from("aaaaaaaa", Firing, 0, 0), l.from("aaaaaaaa", Resolved, 0, 10*m), l.from("bbbbbbbb", Firing, 9*m, 9*m),
	}
	movedLate := []Alert{
		l.from("aaaaaaaa", Firing, 0, 0), l.from("aaaaaaaa", Resolved, 0, 25*m), l.from("bbbbbbbb", Firing, 9*m, 9*m),
	}
	replicas := []Alert{
		l.from("aaaaaaaa", Firing, 0, 0), l.from("bbbbbbbb", Firing, 0, m), l.from("aaaaaaaa", Resolved, 0, 20*m),
	}
	both := append(slices.Clone(replicas), l.from("bbbbbbbb", Resolved, 0, 21*m))
	again := []Alert{ // What is said last is about the firing before.
		l.from("aaaaaaaa", Firing, 0, 0), l.from("aaaaaaaa", Resolved, 0, 20*m),
		l.from("aaaaaaaa", Firing, 20*m+m/4, 20*m+m/2), l.from("aaaaaaaa", Firing, 0, 21*m),
	}
	for name, c := range map[string]struct {
		words  []Alert
		firing bool
	}{
		"one peer reports a new firing, the other late the old one": {again, true},
		"the source moved":               {moved, true},
		"the old one's end is told late": {movedLate, true},
		"one of two replicas is over":    {replicas, true},
		"both replicas are over":         {both, false},
		"the third source of an alert that moves on": {append(slices.Clone(both), l.from("cccccccc", Firing, 22*m, 22*m)),
			true},
	} {
		t.Run(name, func(t *testing.T) {
			for order := range permutations(len(c.words)) {
				for _, together := range []bool{false, true} {
					l := newLab(t, func(p *config.Policy) { p.Cooldown = 20 * m })
					l.pass(25 * m)
					var event []Alert
					for _, i := range order {
						event = append(event, c.words[i])
						if !together {
							l.fold(c.words[i])
							l.fold(c.words[i]) // Delivered twice.
						}
					}
					if together {
						l.fold(event...)
					}
					l.pass(m / 2) // The lease that a fold granted is over.
					l.sweep()
					require.Len(t, l.objects, 1, fmt.Sprint(order, together))
					require.Len(t, l.open(), map[bool]int{true: 1, false: 0}[c.firing], fmt.Sprint(order, together))
				}
			}
		})
	}
}

// A source that fell silent for good does not keep an alert firing whose other source is over.
func TestASilentSourceKeepsNothingFiring(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.Quiet = 5 * time.Hour })
	l.fold(l.from("aaaaaaaa", Firing, 0, 0))
	l.fold(l.from("bbbbbbbb", Firing, 0, 0))
	l.pass(4 * time.Hour)
	l.fold(l.from("bbbbbbbb", Firing, 0, 4*time.Hour))
	l.pass(2 * time.Hour)
	require.Equal(t, []TransitionType{Closed}, types(l.fold(l.from("bbbbbbbb", Resolved, 0, 6*time.Hour))))
}

// A new source for each restart of an exporter: only the last few are remembered.
func TestManySources(t *testing.T) {
	l := newLab(t, nil)
	var last Folded
	for i := range 50 {
		at := time.Duration(i) * time.Minute
		l.pass(time.Minute)
		last = l.fold(l.from(fmt.Sprintf("%08x", i), Firing, at, at))
		last = l.fold(l.from(fmt.Sprintf("%08x", i), Resolved, at, at+30*time.Second))
	}
	l.pass(time.Minute)
	l.flush(last.Group, "")
	require.Len(t, l.objects, 1)
	require.Equal(t, 49, l.one(StateResolved).Reopened)
	record := l.rdb.HGet(l.ctx, l.keys.group(last.Group).alerts, l.one(StateResolved).Fingerprint).Val()
	require.Less(t, len(record), 700)
}

// Of a source the latest start and the latest end count, also where an earlier report had them.
func TestAnEarlierWordOfALaterStart(t *testing.T) {
	const s = time.Second
	merged := func(l *lab) []Alert {
		r := l.from("", Resolved, 50*s, 95*s)
		r.EndsAt = epoch.Add(70 * s)
		return []Alert{l.from("", Firing, 50*s, 100*s), l.from("", Firing, 80*s, 90*s), r}
	}
	for order := range permutations(3) {
		l := newLab(t, nil)
		l.pass(2 * time.Minute)
		for _, i := range order {
			l.fold(merged(l)[i])
		}
		l.pass(time.Minute)
		l.sweep()
		require.Len(t, l.open(), 1, "%v", order)
	}
}
