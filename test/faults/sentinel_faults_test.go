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

// sentinelFaults concern what deploy/redis/ha starts: a master with two replicas, and three Sentinels.
//
// One replica that is waited for is enough when the master alone is lost, since the Sentinels promote the replica that
// got furthest, and it has all that the other has. What they know of that may be some seconds old, and the furthest may
// be lost with the master: whoever fears that waits for both, and then takes no event when one is away.
var sentinelFaults = []fault{
	{
		name: "Sentinel, a replica lost", sentinel: true, long: true, env: waits,
		during: func(b *bed) {
			_, replicas := b.roles()
			assert.NoError(b.t, replicas[0].Kill())
			b.awaitAnswers(taken, 60)
			assert.NoError(b.t, replicas[0].Start())
			b.awaitAnswers(taken, 20)
		},
	},
	{
		name: "Sentinel, master cut off from its replicas", sentinel: true, long: true,
		during: func(b *bed) {
			// It takes nothing (min-replicas-to-write).
			master, replicas := b.roles()
			b.cutOff(master, replicas)
			b.awaitAnswers("503 redis_unavailable", 20)
			for _, r := range replicas {
				assert.NoError(b.t, r.Resume())
			}
			b.awaitAnswers(taken, 20)
		},
		expect: []string{"503 redis_unavailable"},
	},
	{
		name: "Sentinel, master lost", sentinel: true, long: true, forgets: true,
		during: func(b *bed) {
			old, _ := b.roles()
			assert.NoError(b.t, old.Kill())
			b.awaitReplaced(old)
		},
	},
	{
		name: "Sentinel, master lost, one replica waited for", sentinel: true, long: true, env: waits,
		during: func(b *bed) {
			// The replicas are behind when it is lost.
			old, replicas := b.roles()
			for _, r := range replicas {
				assert.NoError(b.t, r.Pause())
			}
			b.awaitAnswers(tooFew, 15)
			assert.NoError(b.t, old.Kill())
			for _, r := range replicas {
				assert.NoError(b.t, r.Resume())
			}
			b.awaitReplaced(old)
		},
		expect: []string{tooFew},
	},
	{
		name: "Sentinel, all servers killed and restarted", sentinel: true, long: true,
		during: func(b *bed) {
			// The master is the last to go, since nothing is taken without a replica.
			master, replicas := b.roles()
			for _, server := range append(replicas, master) {
				b.killOnDisk(server)
			}
			assert.NoError(b.t, b.sentinel.KillSentinels())
			b.awaitAnswers("503 redis_unavailable", 20)
			assert.NoError(b.t, b.sentinel.StartSentinels())
			for _, server := range b.sentinel.Servers {
				assert.NoError(b.t, server.Start())
			}
			b.await(60*time.Second, func() error { return b.sentinel.Complete(b.t.Context()) })
			b.awaitAnswers(taken, 20)
		},
	},
	{
		name: "Sentinel, master hangs and is replaced, one replica waited for", sentinel: true, long: true, env: waits,
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
		name: "all Sentinels gone", sentinel: true, long: true,
		during: func(b *bed) {
			// The connections that are there go on.
			assert.NoError(b.t, b.sentinel.KillSentinels())
			b.awaitAnswers(taken, 80)
			assert.NoError(b.t, b.sentinel.StartSentinels())
		},
	},
}

// awaitReplaced waits until another server than the old master takes events, starts the old one again, and waits until
// it follows.
func (b *bed) awaitReplaced(old *testbed.RedisServer) {
	b.t.Helper()
	b.awaitMaster(old)
	b.awaitAnswers(taken, 20)
	assert.NoError(b.t, old.Start())
	b.awaitFollower(old)
}

// cutOff stops replicas and closes their connections to the master: what was on its way to a stopped server would reach
// it in the end, if the connection stayed.
func (b *bed) cutOff(master *testbed.RedisServer, replicas []*testbed.RedisServer) {
	b.t.Helper()
	for _, r := range replicas {
		assert.NoError(b.t, r.Pause())
	}
	assert.NoError(b.t, master.Client().Do(b.t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err())
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
