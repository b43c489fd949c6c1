package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// keeping is a Redis that keeps its data through a crash.
func keeping(t *testing.T) *testbed.RedisServer {
	t.Helper()
	return testbed.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
}

// passing starts a pod whose alerts do not wait for Redis, and awaits its first sweep, which compares all shards with
// Kubernetes. Its time-outs are short, its lease and sweep as short as they may be.
func passing(t *testing.T, rdb *testbed.RedisServer, env ...string) *pod {
	t.Helper()
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(
		t,
		os.WriteFile(
			policies,
			[]byte("policies:\n  - {name: default, onRedisFailure: passthrough, flush: {min: 100ms}}\n"),
			0o600,
		),
	)
	p := startPod(t, append([]string{
		"STORMFOLD_REDIS_URL=" + rdb.URL, "STORMFOLD_POLICIES=" + policies, "STORMFOLD_REDIS_TIMEOUT=300ms",
		"STORMFOLD_REQUEST_TIMEOUT=8s", "STORMFOLD_LEASE=5s", "STORMFOLD_SWEEP_INTERVAL=1s",
	}, env...)...)
	eventually(t, 30*time.Second, func() error {
		if n := (&scene{t: t, pod: p}).metrics()[`stormfold_sweeps_total{result="ok"}`]; n == "0" {
			return fmt.Errorf("%s sweeps", n)
		}
		return nil
	})
	return p
}

// letter is an event that is delivered again and again, the same each time, as a broker does.
type letter struct {
	header map[string]string
	body   []byte
}

func newLetter(t *testing.T, alerts ...map[string]any) letter {
	t.Helper()
	body, err := json.Marshal(notification(alerts...))
	require.NoError(t, err)
	return letter{body: body, header: map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": typeNotification, "Ce-Source": "/test",
		"Ce-Id": uuid.NewString(), "Ce-Time": time.Now().UTC().Format(time.RFC3339Nano),
	}}
}

// refused delivers the letter and expects that it has to come again.
func (s *scene) refused(l letter) {
	s.t.Helper()
	a := s.postRaw(l.header, l.body)
	require.Equal(s.t, http.StatusServiceUnavailable, a.code, a.body)
	require.True(s.t, strings.HasPrefix(a.body, "redis_"), a.body)
}

// accepted delivers the letter until it is accepted.
func (s *scene) accepted(l letter) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, func() error {
		if a := s.postRaw(l.header, l.body); a.code/100 != 2 {
			return fmt.Errorf("%d %s", a.code, a.body)
		}
		return nil
	})
}

// awaitStates waits until the scene's incidents have these states, in any order.
func (s *scene) awaitStates(states ...v1alpha1.State) []v1alpha1.Incident {
	s.t.Helper()
	slices.Sort(states)
	return s.await(func(items []v1alpha1.Incident) error {
		var have []v1alpha1.State
		for _, i := range items {
			have = append(have, i.Status.State)
		}
		slices.Sort(have)
		if !slices.Equal(have, states) {
			return fmt.Errorf("want %v, have %s", states, summary(items))
		}
		return nil
	})
}

// stays expects that exactly these incidents, by name, are there from now on: until well after the lease of a fold that
// ran late is over, and every pod has swept.
func (s *scene) stays(names ...string) {
	s.t.Helper()
	for end := time.Now().Add(7 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var have []string
		for _, i := range s.list() {
			have = append(have, i.Name)
		}
		slices.Sort(have)
		slices.Sort(names)
		require.Equal(s.t, names, have, summary(s.list()))
	}
}

type redisFailure struct {
	name         string
	fail, repair func(*testing.T, *testbed.RedisServer)
}

// The ways in which Redis fails and comes back with what it knew.
var redisFailures = []redisFailure{
	{
		name:   "hangs",
		fail:   func(t *testing.T, r *testbed.RedisServer) { require.NoError(t, r.Pause()) },
		repair: func(t *testing.T, r *testbed.RedisServer) { require.NoError(t, r.Resume()) },
	},
	{
		name:   "killed",
		fail:   func(t *testing.T, r *testbed.RedisServer) { require.NoError(t, r.Kill()) },
		repair: func(t *testing.T, r *testbed.RedisServer) { require.NoError(t, r.Start()) },
	},
	{
		name: "out of memory",
		fail: func(t *testing.T, r *testbed.RedisServer) {
			require.NoError(t, r.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
		},
		repair: func(t *testing.T, r *testbed.RedisServer) {
			require.NoError(t, r.Client().ConfigSet(t.Context(), "maxmemory", "0").Err())
		},
	},
}

// An alert whose event Redis cannot take still has an incident, one for any number of deliveries; when Redis is back
// the same object goes on, and is resolved.
func TestPassthrough(t *testing.T) {
	for _, failure := range redisFailures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			rdb := keeping(t)
			s := newScene(t, passing(t, rdb))
			failure.fail(t, rdb)
			l := newLetter(t, s.alert("DiskFull", "db-0", "firing"))
			s.refused(l)
			first := s.awaitOne(1, 1, 0)
			require.Equal(t, v1alpha1.TypeAlert, first.Status.Type)
			require.Equal(
				t,
				[]v1alpha1.Resource{{Kind: "Pod", Namespace: s.namespace, Name: "db-0", Firing: true}},
				first.Status.Resources,
			)
			require.Equal(t, "pod db-0 is in trouble", first.Status.Exemplar.Summary)
			for range 3 {
				s.refused(l)
			}
			require.Len(t, s.list(), 1, "a redelivery makes no second")

			failure.repair(t, rdb)
			s.accepted(l)
			s.stays(first.Name)
			s.accepted(newLetter(t, s.alert("DiskFull", "db-0", "resolved")))
			items := s.awaitStates(v1alpha1.StateResolved)
			require.Equal(t, first.UID, items[0].UID, "the same object")
			require.Equal(t, v1alpha1.AlertCounts{Total: 1, Resolved: 1}, items[0].Status.Alerts)
			require.Greater(t, items[0].Status.ObservedRevision, first.Status.ObservedRevision)
		})
	}
}

// Two pods: one writes the incident, both do, and the other one takes the event when Redis is back.
func TestPassthroughWithTwoPods(t *testing.T) {
	for _, failure := range redisFailures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			rdb := keeping(t)
			a, b := passing(t, rdb), passing(t, rdb)
			s := newScene(t, a)
			other := &scene{t: t, pod: b, namespace: s.namespace}
			failure.fail(t, rdb)
			l := newLetter(t, s.alert("DiskFull", "db-0", "firing"))
			both := newLetter(t, s.alert("DiskFull", "db-1", "firing"))
			s.refused(l)
			s.refused(both)
			other.refused(both)
			items := s.awaitStates(v1alpha1.StateFiring, v1alpha1.StateFiring)

			failure.repair(t, rdb)
			other.accepted(l)
			other.accepted(both)
			s.stays(items[0].Name, items[1].Name)
			other.accepted(newLetter(t, s.alert("DiskFull", "db-0", "resolved"), s.alert("DiskFull", "db-1", "resolved")))
			s.awaitStates(v1alpha1.StateResolved, v1alpha1.StateResolved)
		})
	}
}

// The pod that wrote the incident is killed. Another one, which may have been there or may be new, goes on with it;
// also when the alert is not reported before its end.
func TestPassthroughByAPodThatDies(t *testing.T) {
	for _, failure := range redisFailures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			rdb := keeping(t)
			a := passing(t, rdb)
			s := newScene(t, a)
			failure.fail(t, rdb)
			l := newLetter(t, s.alert("DiskFull", "db-0", "firing"))
			s.refused(l)
			first := s.awaitOne(1, 1, 0)
			require.NoError(t, a.Kill())
			failure.repair(t, rdb)
			s.pod = passing(t, rdb)
			s.accepted(l)
			s.stays(first.Name)
			s.accepted(newLetter(t, s.alert("DiskFull", "db-0", "resolved")))
			items := s.awaitStates(v1alpha1.StateResolved)
			require.Equal(t, first.UID, items[0].UID)
		})
	}
}

// The pod that wrote the incident is killed, and its event never comes again. The pod that was there all the time takes
// the incident over, so that the end of its alert ends it.
func TestPassthroughWithoutARedelivery(t *testing.T) {
	rdb := keeping(t)
	a, b := passing(t, rdb), passing(t, rdb)
	s := newScene(t, a)
	require.NoError(t, rdb.Kill())
	l := newLetter(t, s.alert("DiskFull", "db-0", "firing"))
	s.refused(l)
	first := s.awaitOne(1, 1, 0)
	require.NoError(t, a.Kill())
	require.NoError(t, rdb.Start())
	s.pod = b
	group := "{sf:" + first.Labels[v1alpha1.LabelShard] + "}:g:" + first.Labels[v1alpha1.LabelGroup] + ":objects"
	eventually(t, 60*time.Second, func() error {
		known, err := rdb.Client().HExists(t.Context(), group, first.Name).Result()
		if err == nil && !known {
			err = fmt.Errorf("Redis does not know %s", first.Name)
		}
		return err
	})
	s.accepted(newLetter(t, s.alert("DiskFull", "db-0", "resolved")))
	items := s.awaitStates(v1alpha1.StateResolved)
	require.Equal(t, first.UID, items[0].UID)
}

// Enough alerts for a storm: each has its incident while Redis is away, all are absorbed by the storm when it is back;
// also when their group imports the incidents before it receives the event.
func TestPassthroughOfAStorm(t *testing.T) {
	for _, failure := range redisFailures {
		t.Run(failure.name, func(t *testing.T) { testPassthroughOfAStorm(t, failure, false) })
		t.Run(failure.name+", taken over first", func(t *testing.T) { testPassthroughOfAStorm(t, failure, true) })
	}
}

func testPassthroughOfAStorm(t *testing.T, failure redisFailure, knownFirst bool) {
	t.Parallel()
	rdb := keeping(t)
	s := newScene(t, passing(t, rdb))
	failure.fail(t, rdb)
	l := newLetter(t, s.pods("PodDown", 8, "firing")...)
	s.refused(l)
	firing := slices.Repeat([]v1alpha1.State{v1alpha1.StateFiring}, 8)
	items := s.awaitStates(firing...)
	failure.repair(t, rdb)
	if knownFirst {
		group := "{sf:" + items[0].Labels[v1alpha1.LabelShard] + "}:g:" + items[0].Labels[v1alpha1.LabelGroup] + ":objects"
		eventually(t, 60*time.Second, func() error {
			n, err := rdb.Client().HLen(t.Context(), group).Result()
			if err == nil && n < 2*8 {
				err = fmt.Errorf("Redis knows %d fields of the objects", n)
			}
			return err
		})
	}
	s.accepted(l)
	absorbed := slices.Repeat([]v1alpha1.State{v1alpha1.StateAbsorbed}, 7)
	check := func(want v1alpha1.AlertCounts, state v1alpha1.State) {
		s.await(func(items []v1alpha1.Incident) error {
			storms := slices.DeleteFunc(
				slices.Clone(items),
				func(i v1alpha1.Incident) bool { return i.Status.State == v1alpha1.StateAbsorbed },
			)
			if len(storms) != 1 || storms[0].Status.Type != v1alpha1.TypeStorm || storms[0].Status.State != state ||
				storms[0].Status.Alerts != want || len(items)-1 < len(absorbed) {
				return fmt.Errorf("want one storm %+v, have %s", want, summary(items))
			}
			return nil
		})
	}
	check(v1alpha1.AlertCounts{Total: 8, Firing: 8}, v1alpha1.StateFiring)
	s.accepted(newLetter(t, s.pods("PodDown", 8, "resolved")...))
	check(v1alpha1.AlertCounts{Total: 8, Resolved: 8}, v1alpha1.StateResolved)
}

// While an open incident has the alert, or an open storm of its group stands, nothing is written; nor for an alert that
// is over, nor under a policy that waits. The limit of one event holds.
func TestPassthroughWritesNoMoreThanItMust(t *testing.T) {
	rdb := keeping(t)
	p := passing(t, rdb)
	waits := startPod(t, "STORMFOLD_REDIS_URL="+rdb.URL, "STORMFOLD_REDIS_TIMEOUT=300ms", "STORMFOLD_REQUEST_TIMEOUT=3s")
	known, storm, over, patient, many := newScene(t, p), newScene(t, p), newScene(t, p), newScene(t, waits), newScene(t, p)
	known.accepted(newLetter(t, known.alert("DiskFull", "db-0", "firing")))
	known.awaitOne(1, 1, 0)
	storm.accepted(newLetter(t, storm.pods("PodDown", 6, "firing")...))
	storm.awaitOne(6, 6, 0)
	require.NoError(t, rdb.Kill())

	known.refused(newLetter(t, known.alert("DiskFull", "db-0", "firing")))
	storm.refused(newLetter(t, storm.pods("PodDown", 9, "firing")...))
	over.refused(newLetter(t, over.alert("DiskFull", "db-0", "resolved"), over.alert("DiskFull", "db-0", "firing")))
	patient.refused(newLetter(t, patient.alert("DiskFull", "db-0", "firing")))
	l := newLetter(t, many.pods("PodDown", 30, "firing")...)
	many.refused(l)
	require.Len(t, known.list(), 1)
	require.Len(t, storm.list(), 1)
	require.Empty(t, over.list())
	require.Empty(t, patient.list())
	require.Len(t, many.list(), 20)
	many.refused(l)
	require.Len(t, many.list(), 30, "the next delivery goes on where the first one stopped")
	values := known.metrics()
	require.Equal(t, "10", values[`stormfold_passthrough_alerts_total{result="skipped"}`])
	require.Equal(t, "30", values[`stormfold_passthrough_alerts_total{result="written"}`])
	require.Equal(t, "30", values[`stormfold_passthrough_alerts_total{result="standing"}`])
}

// metrics are the pod's, by name with labels.
func (s *scene) metrics() map[string]string {
	s.t.Helper()
	response, text := exchange(s.t, http.MethodGet, s.pod.metrics, nil, nil)
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			out[name] = value
		}
	}
	return out
}
