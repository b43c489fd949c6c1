package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// bench is the fold and the projection without a process around them, on a real Redis and API server of which the test
// moves the clock. It can stop in the middle of anything, as a process that dies does.
type bench struct {
	*scene
	rdb    *testbed.RedisServer
	fold   *aggregator.Aggregator
	now    time.Time
	policy config.Policy
}

func newBench(t *testing.T) *bench {
	b := &bench{scene: newScene(t, nil), rdb: testbed.Redis(t), now: time.Now(), policy: testbed.OnePolicy().List[0]}
	b.policy.GroupBy = []string{"namespace", "alertname"}
	b.fold = aggregator.New(aggregator.Options{
		Redis: b.rdb.Client(), Lease: 5 * time.Second, Clock: func() time.Time { return b.now },
	})
	require.NoError(t, b.fold.Load(t.Context()))
	b.imported(b.projector(incidents))
	return b
}

func (b *bench) projector(i projector.Incidents) *projector.Projector {
	return projector.New(projector.Options{Incidents: i, Timeout: 5 * time.Second, Fallback: "stormfold"})
}

// imported imports every shard, as the function does when Redis is empty.
func (b *bench) imported(p *projector.Projector) {
	b.t.Helper()
	for shard := range aggregator.Shards {
		swept, err := b.fold.Sweep(b.t.Context(), shard)
		require.NoError(b.t, err)
		if !b.fold.NeedsImport(swept.Epoch) {
			continue
		}
		err = b.importShard(p, shard, swept.Epoch)
		if errors.Is(err, aggregator.ErrNotImported) { // Kubernetes has an incident that Redis does not know.
			err = b.importShard(p, shard, "")
		}
		require.NoError(b.t, err)
	}
}

func (b *bench) importShard(p *projector.Projector, shard int, epoch string) error {
	mine, err := b.fold.BeginImport(b.t.Context(), shard, epoch, 20*time.Second)
	require.NoError(b.t, err)
	require.NotNil(b.t, mine)
	err = p.ImportShard(b.t.Context(), "stormfold", shard, func(i aggregator.Imported) error {
		_, err := b.fold.Import(b.t.Context(), i, &b.policy)
		return err
	}, func(string, string) {})
	if err != nil {
		require.NoError(b.t, b.fold.AbortImport(b.t.Context(), mine))
		return err
	}
	return b.fold.FinishImport(b.t.Context(), mine)
}

// say folds alerts about pods and returns what became of them.
func (b *bench) say(status aggregator.Status, from, to int) aggregator.Folded {
	b.t.Helper()
	var alerts []aggregator.Alert
	for i := from; i < to; i++ {
		labels := map[string]string{
			"alertname": "PodDown", "namespace": b.namespace, "pod": fmt.Sprintf("web-%d", i), "severity": "critical",
		}
		set := model.LabelSet{}
		for k, v := range labels {
			set[model.LabelName(k)] = model.LabelValue(v)
		}
		alerts = append(alerts, aggregator.Alert{
			Fingerprint: set.Fingerprint().String(), Status: status, Labels: labels, StartsAt: b.now, NotifiedAt: b.now,
		})
	}
	folded, err := b.fold.Fold(
		b.t.Context(),
		aggregator.Split(config.Policies{List: []config.Policy{b.policy}}, aggregator.Batch{Alerts: alerts}),
		func(aggregator.Group) string { return "stormfold" },
	)
	require.NoError(b.t, err)
	return folded[0]
}

// write projects a group until nothing is left.
func (b *bench) write(group, token string) {
	b.t.Helper()
	p := b.projector(incidents)
	for range 20 {
		s, err := b.fold.Snapshot(b.t.Context(), group, token, true)
		if errors.Is(err, aggregator.ErrWaiting) {
			_, err = b.fold.Replay(b.t.Context(), group)
			require.NoError(b.t, err)
			continue
		}
		require.NoError(b.t, err)
		if s == nil || len(s.Objects) == 0 {
			return
		}
		confirmed, err := p.Project(b.t.Context(), s)
		require.NoError(b.t, err)
		_, err = b.fold.Settle(b.t.Context(), s, confirmed, 0)
		require.NoError(b.t, err)
		token = ""
	}
	b.t.Fatal("the group still has work due")
}

// mortal fails every call after the first few writes, as if the process had died.
type mortal struct {
	projector.Incidents
	left int
}

var errDied = errors.New("the process has died")

func (m *mortal) Create(ctx context.Context, i *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	if m.left--; m.left < 0 {
		return nil, errDied
	}
	return m.Incidents.Create(ctx, i)
}

func (m *mortal) UpdateStatus(ctx context.Context, i *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	if m.left--; m.left < 0 {
		return nil, errDied
	}
	return m.Incidents.UpdateStatus(ctx, i)
}

// A pod dies after each single write of a promotion: the storm's object, then the absorbed ones. Whoever takes over
// finishes it.
func TestAPodDiesAfterEachWriteOfAPromotion(t *testing.T) {
	for writes := range 5 {
		t.Run(fmt.Sprintf("%d writes", writes), func(t *testing.T) {
			b := newBench(t)
			f := b.say(aggregator.Firing, 0, 4)
			b.write(f.Group, f.Token)
			require.Len(t, b.list(), 4)

			b.now = b.now.Add(10 * time.Second)
			f = b.say(aggregator.Firing, 4, 5)
			require.Equal(t, "storm", f.State)
			s, err := b.fold.Snapshot(t.Context(), f.Group, f.Token, true)
			require.NoError(t, err)
			require.Len(t, s.Objects, 4)
			_, err = b.projector(&mortal{Incidents: incidents, left: writes}).Project(t.Context(), s)
			if writes < 4 {
				require.ErrorIs(t, err, errDied)
			}
			// No settle: it is dead. Its lease runs out.
			b.now = b.now.Add(5 * time.Second)
			b.write(f.Group, "")
			b.checkOneStorm(5, 3)
		})
	}
}

// A pod dies between the create of a storm's object and its status, and after the status before the settle.
func TestAPodDiesWhileItOpensAStorm(t *testing.T) {
	for writes := range 3 {
		b := newBench(t)
		f := b.say(aggregator.Firing, 0, 6)
		s, err := b.fold.Snapshot(t.Context(), f.Group, f.Token, true)
		require.NoError(t, err)
		_, _ = b.projector(&mortal{Incidents: incidents, left: writes}).Project(t.Context(), s)
		b.now = b.now.Add(5 * time.Second)
		b.write(f.Group, "")
		b.checkOneStorm(6, 0)
	}
}

// checkOneStorm expects one open storm of that many alerts, and as many absorbed incidents that point at it.
func (b *bench) checkOneStorm(alerts int32, absorbed int) {
	b.t.Helper()
	var storm string
	for _, i := range b.list() {
		if i.Status.State == v1alpha1.StateFiring {
			require.Empty(b.t, storm, "two open incidents: %s", summary(b.list()))
			require.Equal(b.t, v1alpha1.TypeStorm, i.Status.Type)
			require.Equal(b.t, v1alpha1.AlertCounts{Total: alerts, Firing: alerts}, i.Status.Alerts)
			storm = i.Name
		}
	}
	require.NotEmpty(b.t, storm)
	for _, i := range b.list() {
		if i.Name != storm {
			require.Equal(b.t, v1alpha1.StateAbsorbed, i.Status.State)
			require.Equal(b.t, storm, i.Status.AbsorbedBy)
			absorbed--
		}
	}
	require.Zero(b.t, absorbed)
}

// Redis is emptied while a create is on its way: for a while there are two incidents, then the second look finds the
// one that came late, the older stays, and the other is absorbed.
func TestRedisIsEmptiedWhileACreateIsOnItsWay(t *testing.T) {
	b := newBench(t)
	f := b.say(aggregator.Firing, 0, 6)
	late, err := b.fold.Snapshot(t.Context(), f.Group, f.Token, true)
	require.NoError(t, err)

	require.NoError(t, b.rdb.Client().FlushAll(t.Context()).Err())
	b.now = b.now.Add(time.Second)
	f = b.say(aggregator.Firing, 0, 7)
	b.imported(b.projector(incidents))
	b.write(f.Group, "")
	confirmed, err := b.projector(incidents).Project(t.Context(), late)
	require.NoError(t, err)
	_, err = b.fold.Settle(t.Context(), late, confirmed, 0)
	require.NoError(t, err)
	require.Len(t, b.list(), 2)

	b.now = b.now.Add(90 * time.Second)
	b.imported(b.projector(incidents))
	b.write(f.Group, "")
	b.now = b.now.Add(time.Second)
	f = b.say(aggregator.Firing, 0, 8)
	b.write(f.Group, f.Token)
	b.checkOneStorm(8, 1)

	b.now = b.now.Add(time.Second)
	f = b.say(aggregator.Resolved, 0, 8)
	b.write(f.Group, f.Token)
	for _, i := range b.list() {
		require.NotEqual(t, v1alpha1.StateFiring, i.Status.State)
	}
}
