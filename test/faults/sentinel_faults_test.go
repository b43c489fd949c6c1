package faults

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/stormfold/stormfold/test/testbed"
)

// waits makes the functions wait for one replica.
func waits(int) []string { return []string{"STORMFOLD_REDIS_WAIT_REPLICAS=1"} }

const tooFew = "503 redis_replicas"

// sentinelFaults concern a master with three replicas and three Sentinels.
//
// One replica that is waited for is enough when the master alone is lost, since the Sentinels promote the replica that got
// furthest, and it has all that any other has. What they know of that may be some seconds old, and the furthest may be lost
// with the master: whoever fears that waits for more, at most for all three, and then takes no event when one is away.
var sentinelFaults = []fault{
	{
		name: "Sentinel, a replica lost", replicas: 3, long: true, env: waits,
		during: func(b *bed) {
			_, replicas := b.roles()
			assert.NoError(b.t, replicas[0].Kill())
			b.awaitAnswers(taken, 60)
			assert.NoError(b.t, replicas[0].Start())
			b.awaitAnswers(taken, 20)
		},
	},
	{
		name: "Sentinel, master lost", replicas: 3, long: true, forgets: true,
		during: func(b *bed) { b.loseMaster(taken) },
	},
	{
		name: "Sentinel, master lost, one replica waited for", replicas: 3, long: true, env: waits,
		during: func(b *bed) { b.loseMaster(tooFew) },
		expect: []string{tooFew},
	},
	{
		name: "Sentinel, master hangs and is replaced, one replica waited for", replicas: 3, long: true, env: waits,
		during: func(b *bed) {
			old, _ := b.roles()
			assert.NoError(b.t, old.Pause())
			b.awaitMaster(old)
			b.awaitAnswers(taken, 20)
			// It wakes up and takes itself for the master until a Sentinel tells it otherwise.
			assert.NoError(b.t, old.Resume())
			b.awaitFollower(old)
		},
	},
	{
		name: "all Sentinels gone", replicas: 3, long: true,
		during: func(b *bed) {
			// The connections that are there go on.
			assert.NoError(b.t, b.sentinel.KillSentinels())
			b.awaitAnswers(taken, 80)
			assert.NoError(b.t, b.sentinel.StartSentinels())
		},
	},
}

// loseMaster kills the master after its replicas have missed what it took at last, of which there are some answers that begin like
// that. It comes back, empty, as a replica of another one.
func (b *bed) loseMaster(answer string) {
	b.t.Helper()
	old, replicas := b.roles()
	b.cutOff(old, replicas, answer)
	b.awaitMaster(old)
	b.awaitAnswers(taken, 20)
	assert.NoError(b.t, old.Start())
	b.awaitFollower(old)
}

// cutOff kills a master after a time in which its replicas got nothing of it.
func (b *bed) cutOff(master *testbed.RedisServer, replicas []*testbed.RedisServer, answer string) {
	b.t.Helper()
	for _, r := range replicas {
		assert.NoError(b.t, r.Pause())
	}
	// What is on its way to a stopped server would reach it in the end, if the connection stayed.
	assert.NoError(b.t, master.Client().Do(b.t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err())
	b.awaitAnswers(answer, 15)
	assert.NoError(b.t, master.Kill())
	for _, r := range replicas {
		assert.NoError(b.t, r.Resume())
	}
}

// roles are the master and the replicas as the Sentinels see them.
func (b *bed) roles() (master *testbed.RedisServer, replicas []*testbed.RedisServer) {
	b.t.Helper()
	master, replicas, err := b.sentinel.Roles(b.t.Context())
	assert.NoError(b.t, err)
	return master, replicas
}

// awaitMaster waits until the Sentinels name another master than that one.
func (b *bed) awaitMaster(old *testbed.RedisServer) {
	b.t.Helper()
	b.await(60*time.Second, func() error {
		master, _, err := b.sentinel.Roles(b.t.Context())
		if err == nil && master == old {
			err = fmt.Errorf("the master is still %s", old.Addr)
		}
		return err
	})
}

// awaitFollower waits until a server follows a master.
func (b *bed) awaitFollower(server *testbed.RedisServer) {
	b.t.Helper()
	b.await(60*time.Second, func() error {
		info, err := server.Client().Info(b.t.Context(), "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = fmt.Errorf("%s follows nobody:\n%s", server.Addr, info)
		}
		return err
	})
}
