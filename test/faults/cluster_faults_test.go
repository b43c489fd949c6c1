package faults

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/testbed"
)

// clusterFaults concern a Redis Cluster of three masters, each with a replica.
var clusterFaults = []fault{
	{
		name: "Redis Cluster, slots migrate", masters: 3, long: true,
		during: func(b *bed) {
			slots := b.slots(b.ring.Masters[0])
			for i, slot := range slots {
				b.migrate(slot, b.ring.Masters[0], b.ring.Masters[1+i%2])
			}
			b.migrate(slots[0], b.ring.Masters[1], b.ring.Masters[0])
		},
		expect: []string{"503 redis_unavailable"},
	},
	{
		name: "Redis Cluster, a master lost", masters: 3, long: true, forgets: true,
		during: func(b *bed) { b.loseShards(0, taken) },
	},
	{
		name: "Redis Cluster, a master lost, its replica waited for", masters: 3, long: true, env: waits,
		during: func(b *bed) { b.loseShards(0, tooFew) },
		expect: []string{tooFew},
	},
}

// slots are those of our shards that a master has.
func (b *bed) slots(master *testbed.RedisServer) []int {
	b.t.Helper()
	id, err := master.Client().ClusterMyID(b.t.Context()).Result()
	assert.NoError(b.t, err)
	all, err := master.Client().ClusterShards(b.t.Context()).Result()
	assert.NoError(b.t, err)
	own := func(n redis.Node) bool { return n.ID == id && n.Role == "master" }
	var out []int
	for shard := range aggregator.Shards {
		slot, err := master.Client().ClusterKeySlot(b.t.Context(), fmt.Sprintf("{sf:%02d}", shard)).Result()
		assert.NoError(b.t, err)
		for _, part := range all {
			for _, r := range part.Slots {
				if slices.ContainsFunc(part.Nodes, own) && r.Start <= slot && slot <= r.End {
					out = append(out, int(slot))
				}
			}
		}
	}
	assert.NotEmpty(b.t, out, "a master has some of our shards")
	return out
}

// migrate moves a slot so slowly that events meet it half way: their keys are at two masters then, and no script can
// run.
func (b *bed) migrate(slot int, from, to *testbed.RedisServer) {
	b.t.Helper()
	m, err := b.ring.Migrate(b.t.Context(), slot, from, to)
	if !assert.NoError(b.t, err) {
		return
	}
	for range 4 {
		_, err := m.Move(b.t.Context(), 3)
		assert.NoError(b.t, err)
		b.awaitAnswers("", 25)
	}
	assert.NoError(b.t, m.Finish(b.t.Context()))
}

// loseShards kills the nth master, which has some of our shards, after its replica has missed what it took at last, and
// waits until the replica has taken its place and it has taken the replica's.
func (b *bed) loseShards(n int, answer string) {
	b.t.Helper()
	master, replica := b.ring.Masters[n], b.ring.Replicas[n]
	b.slots(master)
	b.cutOff(master, []*testbed.RedisServer{replica})
	b.awaitAnswers(answer, 15)
	assert.NoError(b.t, master.Kill())
	assert.NoError(b.t, replica.Resume())
	b.await(60*time.Second, func() error {
		role, err := replica.Client().Do(b.t.Context(), "ROLE").Slice()
		if err == nil && role[0] != "master" {
			err = errors.New("the replica has not taken over")
		}
		return err
	})
	b.awaitAnswers(taken, 20)
	assert.NoError(b.t, master.Start())
	b.await(60*time.Second, func() error { return b.ring.Complete(b.t.Context()) })
}
