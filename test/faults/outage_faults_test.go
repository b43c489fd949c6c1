package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// held has outages wait, so that a fault can come between an incident and its outage.
var held = strings.Replace(policies, "  threshold: 2\n", "  threshold: 2\n  hold: 3s\n", 1)

// outageFaults come between incidents and the outages that they are part of.
var outageFaults = []fault{
	{
		name: "Redis emptied between incidents and outages", policies: held, forgets: true, long: true,
		during: func(b *bed) {
			b.awaitBetween()
			assert.NoError(b.t, b.redis.Client().FlushAll(b.t.Context()).Err())
		},
		after: outagesOfAllRacks,
	},
	{
		name: "functions killed between incidents and outages", policies: held, every: 30 * time.Millisecond,
		during: func(b *bed) {
			b.awaitBetween()
			b.all(func(p *pod) { assert.NoError(b.t, p.Kill()); assert.NoError(b.t, p.start()) })
			b.awaitReady()
		},
		after: outagesOfAllRacks,
	},
	{
		name: "Redis Cluster, the master of outages lost", policies: held, masters: 3, forgets: true, long: true,
		during: func(b *bed) {
			b.awaitBetween()
			b.loseShards(b.masterOfOutages(), taken)
		},
		after: outagesOfAllRacks,
	},
	{
		name: "outages deleted by hand",
		during: func(b *bed) {
			var outages []v1alpha1.Incident
			b.await(20*time.Second, func() error {
				items, err := b.list(b.t.Context())
				if outages = only(items, v1alpha1.TypeOutage); err == nil && len(outages) < racks {
					err = fmt.Errorf("there are %d outages", len(outages))
				}
				return err
			})
			for _, o := range outages {
				assert.NoError(b.t, b.incidents.Delete(b.t.Context(), b.namespace, o.Name, metav1.Preconditions{UID: &o.UID}))
			}
			b.awaitAnswers(taken, 20)
		},
		after: outagesOfAllRacks,
	},
}

// only are the incidents of a type.
func only(items []v1alpha1.Incident, kind v1alpha1.Type) []v1alpha1.Incident {
	return slices.DeleteFunc(slices.Clone(items), func(in v1alpha1.Incident) bool { return in.Status.Type != kind })
}

// outagesOfAllRacks checks that the verdict was about outages.
func outagesOfAllRacks(b *bed) {
	items, err := b.list(b.t.Context())
	assert.NoError(b.t, err)
	outages := slices.DeleteFunc(only(items, v1alpha1.TypeOutage), func(in v1alpha1.Incident) bool {
		return in.Status.State == v1alpha1.StateAbsorbed
	})
	assert.Len(b.t, outages, racks)
}

// awaitBetween waits until there are incidents of every rack, and no outage yet.
func (b *bed) awaitBetween() {
	b.t.Helper()
	b.await(20*time.Second, func() error {
		items, err := b.list(b.t.Context())
		if err != nil {
			return err
		}
		found := map[string]bool{}
		for _, in := range items {
			found[in.Status.CommonLabels["rack"]] = true
		}
		if len(found) < racks {
			return errors.New("not every rack has an incident")
		}
		assert.Empty(b.t, only(items, v1alpha1.TypeOutage), "the fault comes before the outages")
		return nil
	})
}

// masterOfOutages is the number of a master that has the outage of a rack.
func (b *bed) masterOfOutages() int {
	b.t.Helper()
	group := aggregator.GroupID("outage racks", map[string]string{"rack": "rack-0"})
	slot, err := b.ring.Client.ClusterKeySlot(b.t.Context(), fmt.Sprintf("{sf:%02d}", aggregator.ShardOf(group))).Result()
	assert.NoError(b.t, err)
	n := slices.IndexFunc(b.ring.Masters, func(m *testbed.RedisServer) bool {
		return slices.Contains(b.slots(m), int(slot))
	})
	assert.GreaterOrEqual(b.t, n, 0)
	return max(0, n)
}
