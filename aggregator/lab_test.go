package aggregator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/test/testbed"
)

// server is the real Redis of this package's tests.
var server *testbed.RedisServer

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stormfold-aggregator")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if server, err = testbed.StartRedis(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	return m.Run()
}

// lab is a fold on an empty Redis with a clock that only the test moves, and a Kubernetes that remembers what was
// confirmed.
type lab struct {
	*Aggregator
	t      testing.TB
	ctx    context.Context
	now    time.Time
	rdb    *redis.Client
	policy config.Policy
	// objects are those written last, by name.
	objects map[string]Object
	writes  int
}

var epoch = time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)

func newLab(t testing.TB, change func(*config.Policy)) *lab {
	l := &lab{
		t:       t,
		ctx:     t.Context(),
		now:     epoch,
		rdb:     server.Client(),
		policy:  testbed.OnePolicy().List[0],
		objects: map[string]Object{},
	}
	l.policy.GroupBy = []string{"alertname"}
	if change != nil {
		change(&l.policy)
	}
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.Aggregator = New(
		Options{Redis: l.rdb, Lease: 20 * time.Second, Resync: resync, Clock: func() time.Time { return l.now }},
	)
	require.NoError(t, l.Load(l.ctx))
	l.imported()
	return l
}

// imported marks every shard as imported, for the first time.
func (l *lab) imported() {
	l.t.Helper()
	for shard := range Shards {
		i, err := l.BeginImport(l.ctx, shard, "", 20*time.Second)
		require.NoError(l.t, err)
		if i != nil {
			require.NoError(l.t, l.FinishImport(l.ctx, i))
		}
	}
}

// alert is one about a pod, said now.
func (l *lab) alert(pod string, status Status) Alert {
	labels := map[string]string{"alertname": "PodDown", "namespace": "shop", "pod": pod, "severity": "warning"}
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	a := Alert{
		Fingerprint: set.Fingerprint().String(), Status: status, Labels: labels, StartsAt: l.now, NotifiedAt: l.now,
		Annotations: map[string]string{"summary": pod + " is down"},
	}
	if status == Resolved {
		a.EndsAt = l.now
	}
	return a
}

// fold folds alerts of one event and returns what became of their one group.
func (l *lab) fold(alerts ...Alert) Folded {
	l.t.Helper()
	folded, err := l.Fold(
		l.ctx,
		Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: alerts}),
		func(Group) string { return "stormfold" },
	)
	require.NoError(l.t, err)
	require.Len(l.t, folded, 1)
	return folded[0]
}

// flush projects a group until nothing is left to write, as a pod would that may write all the time.
func (l *lab) flush(group, token string) {
	l.t.Helper()
	for range 100 {
		s, err := l.Snapshot(l.ctx, group, token, true)
		if errors.Is(err, ErrWaiting) {
			_, err = l.Replay(l.ctx, group)
			require.NoError(l.t, err)
			continue
		}
		var busy *Busy
		if errors.As(err, &busy) && !busy.Until.After(l.now) {
			continue // A large storm is looked through page by page.
		}
		require.NoError(l.t, err)
		if s == nil || len(s.Objects) == 0 {
			return
		}
		l.settle(s)
		token = ""
	}
	l.t.Fatal("the group always has something to write")
}

// settle confirms every object of a snapshot.
func (l *lab) settle(s *Snapshot) time.Time {
	l.t.Helper()
	var confirmed []Confirmed
	for _, o := range s.Objects {
		l.writes++
		if o.Delete {
			delete(l.objects, o.Name)
			confirmed = append(confirmed, Confirmed{Name: o.Name, Namespace: o.Namespace})
			continue
		}
		require.LessOrEqual(l.t, l.objects[o.Name].Revision, o.Revision, "an older state was written over a newer one")
		l.objects[o.Name] = o
		confirmed = append(
			confirmed,
			Confirmed{Name: o.Name, Namespace: o.Namespace, Revision: o.Revision, ResourceVersion: "7"},
		)
	}
	due, err := l.Settle(l.ctx, s, confirmed, 0)
	require.NoError(l.t, err)
	return due
}

// pass lets time pass.
func (l *lab) pass(d time.Duration) { l.now = l.now.Add(d) }

// sweep projects all that is due, in every shard.
func (l *lab) sweep() {
	l.t.Helper()
	for shard := range Shards {
		swept, err := l.Sweep(l.ctx, shard)
		require.NoError(l.t, err)
		for _, g := range swept.Groups {
			l.flush(g, "")
		}
	}
}

// open returns the incidents that stand and are open.
func (l *lab) open() []Object { return l.in(StateFiring) }

func (l *lab) in(state State) []Object {
	var out []Object
	for _, o := range l.objects {
		if o.State == state {
			out = append(out, o)
		}
	}
	return out
}

// one returns the only incident in that state.
func (l *lab) one(state State) Object {
	l.t.Helper()
	all := l.in(state)
	require.Len(l.t, all, 1, "incidents that are %s", state)
	return all[0]
}
