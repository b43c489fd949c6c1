package replay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/test/testbed"
)

var start = time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)

func pods(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint("web-", i))
	}
	return out
}

func with(t *testing.T, changes ...string) config.Policies {
	t.Helper()
	policies := testbed.OnePolicy()
	for _, change := range changes {
		var err error
		policies, err = policies.With(change)
		require.NoError(t, err)
	}
	return policies
}

func replayed(t *testing.T, notifications []Notification, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), notifications, o)
	require.NoError(t, err)
	return r
}

// Fifteen alerts at once, and all over ten minutes later: one storm that nobody sees grow, in three writes as the
// design says, one more for its end. Nothing is absorbed, since no other incident was created.
func TestFifteenAlertsAtOnce(t *testing.T) {
	var all []Notification
	for _, pod := range pods(0, 15) {
		all = append(all, notification(t, start, aggregator.Firing, pod))
	}
	all = append(all, notification(t, start.Add(10*time.Minute), aggregator.Resolved, pods(0, 15)...))
	r := replayed(t, all, Options{Policies: testbed.OnePolicy()})
	require.Equal(t, Line{
		Alerts: 15, Firings: 15, Incidents: 1, Storms: 1, Reduction: 15, Writes: Writes{Create: 1, Status: 3},
	}, r.Totals)
	require.Equal(t, []PolicyLine{{"default", r.Totals}}, r.Policies)
	require.Equal(t, 15, r.PeakFiring)
	require.Equal(
		t,
		start.Add(time.Second),
		r.PeakAt,
		"the first write is of one alert, and the next one second later of all",
	)
	storm := r.Incidents[0]
	require.Equal(t, "Storm Resolved AllResolved", storm.Type+" "+storm.State+" "+storm.Reason)
	require.Equal(t, []int{15, 15, 15}, []int{storm.Alerts, storm.PeakFiring, storm.Resources})
	require.Equal(t, int64(600), storm.Seconds)
	require.Equal(t, start, storm.StormAt)
	require.Equal(t, start.Add(10*time.Minute), r.End, "the clock stops when everything has ended")
	require.Zero(t, r.Open)
	longer := replayed(t, all, Options{Policies: testbed.OnePolicy(), Until: 169 * time.Hour})
	require.Equal(t, Writes{Create: 1, Status: 3, Delete: 1}, longer.Totals.Writes, "later it is deleted")
}

// With a threshold of 20 the same alerts are fifteen incidents.
func TestBelowTheThresholdEachAlertHasItsOwn(t *testing.T) {
	all := []Notification{notification(t, start, aggregator.Firing, pods(0, 15)...)}
	r := replayed(t, all, Options{Policies: with(t, "default.threshold=20")})
	require.Equal(t, 15, r.Totals.Incidents)
	require.Zero(t, r.Totals.Storms)
	require.InDelta(t, 1, r.Totals.Reduction, 0)
	for _, i := range r.Incidents {
		require.Equal(t, "Quiet", i.Reason, "nobody said that it is over")
		require.Equal(t, start.Add(5*time.Hour), i.EndedAt)
	}
}

// Alerts one minute apart: those that have an incident by the time of the storm are absorbed by the oldest, also where
// they began to fire farther apart than a window.
func TestAbsorbedAndWindow(t *testing.T) {
	var all []Notification
	for i, pod := range pods(0, 6) {
		all = append(all, notification(t, start.Add(time.Duration(i)*time.Minute), aggregator.Firing, pod))
	}
	for _, window := range []string{"10m", "1m"} {
		r := replayed(t, all, Options{Policies: with(t, "default.threshold=3", "default.window="+window)})
		require.Equal(t, []int{2, 1, 1}, []int{r.Totals.Incidents, r.Totals.Storms, r.Totals.Absorbed})
		require.Equal(t, r.Incidents[0].Name, r.Incidents[1].AbsorbedBy)
		require.Equal(t, start.Add(2*time.Minute), r.Incidents[0].StormAt)
		require.Equal(t, 6, r.PeakFiring, "an absorbed incident is not counted a second time")
	}
}

// Until stops the clock, and what fires then is told as firing.
func TestUntil(t *testing.T) {
	all := []Notification{notification(t, start, aggregator.Firing, pods(0, 15)...)}
	r := replayed(t, all, Options{Policies: testbed.OnePolicy(), Until: time.Hour})
	require.Equal(t, start.Add(time.Hour), r.End)
	require.Equal(t, 1, r.Open)
	require.Equal(t, "Firing", r.Incidents[0].State)
	require.Zero(t, r.Incidents[0].EndedAt)
	require.Equal(t, int64(3600), r.Incidents[0].Seconds)
	require.Zero(t, r.Totals.Writes.Delete)
}

// What nobody resolves ends by maxDuration at the latest, and the clock goes on until then; what waits for its first
// write is waited for as well.
func TestTheClockComesToRest(t *testing.T) {
	all := []Notification{notification(t, start, aggregator.Firing, "web-0")}
	r := replayed(
		t,
		all,
		Options{Policies: with(t, "default.quiet=30d", "default.maxDuration=30d", "default.retention=365d")},
	)
	require.Equal(t, start.Add(30*24*time.Hour), r.Incidents[0].EndedAt)
	require.Zero(t, r.Open)
	r = replayed(t, all, Options{Policies: with(t, "default.hold=10m")})
	require.Equal(t, start.Add(10*time.Minute), r.Incidents[0].OpenedAt)
	require.Equal(t, "Quiet", r.Incidents[0].Reason)
}

// The order of the documents does not matter, only their times do.
func TestSortedByTime(t *testing.T) {
	all := slices.Concat(recording(t, "rollout.jsonl"), recording(t, "flapping.jsonl"))
	want := replayed(t, all, Options{Policies: testbed.OnePolicy()})
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	require.Equal(t, want, replayed(t, all, Options{Policies: testbed.OnePolicy()}))
}

// The embedded Redis and a real one, with its own Lua and its script flags, come to the same, to the last write and
// name: for all recordings, and for a storm of more alerts than a script reads at once.
func TestARealRedisComesToTheSame(t *testing.T) {
	server := testbed.Redis(t)
	policies, err := config.LoadPolicies("../../docs/recordings/policies.yaml")
	require.NoError(t, err)
	large := []Notification{
		notification(t, start, aggregator.Firing, pods(0, 4)...),
		notification(t, start.Add(20*time.Second), aggregator.Firing, pods(2, 600)...),
		notification(t, start.Add(21*time.Second), aggregator.Resolved, pods(100, 600)...),
		notification(t, start.Add(10*time.Minute), aggregator.Resolved, pods(0, 100)...),
		notification(t, start.Add(12*time.Minute), aggregator.Firing, pods(50, 60)...),
	}
	for name, notifications := range map[string][]Notification{
		"rollout": recording(t, "rollout.jsonl"), "node-down": recording(t, "node-down.json"), "flapping": recording(t,
			"flapping.jsonl"),
		"large": large,
	} {
		for _, p := range []config.Policies{{}, policies} {
			require.NoError(t, server.Client().FlushAll(t.Context()).Err())
			want := replayed(t, notifications, Options{Policies: p})
			require.Equal(t, want, replayed(t, notifications, Options{Policies: p, Redis: server.Client()}), name)
			require.NotZero(t, want.Totals.Incidents, name)
		}
	}
}

// A Redis that somebody uses is left alone.
func TestOnlyARedisOfItsOwn(t *testing.T) {
	server := testbed.Redis(t)
	all := []Notification{notification(t, start, aggregator.Firing, "web-0")}
	replayed(t, all, Options{Redis: server.Client(), Until: time.Hour})
	_, err := Run(t.Context(), all, Options{Redis: server.Client()})
	require.ErrorContains(t, err, "a replay needs a Redis of its own")
}

func TestNothingToReplay(t *testing.T) {
	_, err := Run(t.Context(), nil, Options{Policies: testbed.OnePolicy()})
	require.ErrorContains(t, err, "there is nothing to replay")
}

// Whoever interrupts a replay does not wait for its end.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var all []Notification
	for i := range 50 {
		all = append(all, notification(t, start.Add(time.Duration(i)*time.Second), aggregator.Firing, fmt.Sprint("web-", i)))
	}
	done := 0
	_, err := Run(ctx, all, Options{Progress: func() {
		if done++; done == 3 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, done)
}
