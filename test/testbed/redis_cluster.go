package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterSlots is how many slots a Redis Cluster has.
const clusterSlots = 16384

// clusterDown is how long a node of a Redis Cluster has to be silent until the others take it for gone.
const clusterDown = 2 * time.Second

// RedisCluster is a Redis Cluster on loopback. Its nodes are started as the server of deploy/redis/trial is.
type RedisCluster struct {
	// URL is the function's, in the notation of go-redis for a Cluster.
	URL string
	// Masters had a part of the slots each at the start. Replicas has the first replica of each in the same order, then
	// the second.
	Masters, Replicas []*RedisServer
	// Client finds the node of each key. It may do everything.
	Client *redis.ClusterClient
}

// RedisClusterOf starts a Redis Cluster with that number of masters, and of replicas for each, for a test. It returns
// when every node reports that the cluster is healthy.
func RedisClusterOf(t testing.TB, masters, replicas int) *RedisCluster {
	t.Helper()
	c := &RedisCluster{}
	var addresses []string
	password, _ := admin.Password()
	for i := range masters * (1 + replicas) {
		// Without a word the bus is 10,000 above, where clients have their ports.
		node := TrialRedis(t, "cluster-enabled yes", fmt.Sprintf("cluster-port %d", Port(t)),
			fmt.Sprintf("cluster-node-timeout %d", clusterDown.Milliseconds()), "repl-diskless-sync-delay 0",
			"masteruser "+admin.Username(), "masterauth "+password)
		addresses = append(addresses, node.Addr)
		if i < masters {
			c.Masters = append(c.Masters, node)
		} else {
			c.Replicas = append(c.Replicas, node)
		}
	}
	if err := c.join(t.Context()); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	c.URL = (&url.URL{
		Scheme: "redis", User: url.UserPassword("stormfold", FunctionPassword), Host: addresses[0],
		RawQuery: url.Values{"addr": addresses[1:]}.Encode(),
	}).String()
	c.Client = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addresses, Username: admin.Username(), Password: password, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() {
		if err := c.Client.Close(); err != nil {
			t.Errorf("testbed: %v", err)
		}
	})
	Eventually(t, readyTimeout, "the Redis Cluster", c.Complete)
	return c
}

func (c *RedisCluster) nodes() []*RedisServer {
	return append(append([]*RedisServer{}, c.Masters...), c.Replicas...)
}

// join gives the masters their slots, makes the nodes known to each other, and gives each master its replicas.
func (c *RedisCluster) join(ctx context.Context) error {
	share := clusterSlots / len(c.Masters)
	for i, master := range c.Masters {
		last := (i+1)*share - 1
		if i == len(c.Masters)-1 {
			last = clusterSlots - 1
		}
		if err := master.Client().ClusterAddSlotsRange(ctx, i*share, last).Err(); err != nil {
			return fmt.Errorf("give %s its slots: %w", master.Addr, err)
		}
	}
	for _, node := range c.nodes() {
		bus, err := node.Client().ConfigGet(ctx, "cluster-port").Result()
		if err != nil {
			return err
		}
		host, port, err := net.SplitHostPort(node.Addr)
		if err != nil {
			return err
		}
		if err := c.Masters[0].Client().Do(ctx, "CLUSTER", "MEET", host, port, bus["cluster-port"]).Err(); err != nil {
			return fmt.Errorf("introduce %s: %w", node.Addr, err)
		}
	}
	for i, replica := range c.Replicas {
		id, err := c.Masters[i%len(c.Masters)].Client().ClusterMyID(ctx).Result()
		if err != nil {
			return err
		}
		// It must know its master.
		if err := await(ctx, replica.Process, "the master of "+replica.Addr, func(ctx context.Context) error {
			return replica.Client().ClusterReplicate(ctx, id).Err()
		}); err != nil {
			return err
		}
	}
	return nil
}

// Complete is nil when every node knows all nodes, serves all slots, and every replica follows a master.
func (c *RedisCluster) Complete(ctx context.Context) error {
	nodes := c.nodes()
	replicas := fmt.Sprintf("connected_slaves:%d\r", len(c.Replicas)/len(c.Masters))
	for _, node := range nodes {
		info, err := node.Client().ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "cluster_state:ok") ||
			!strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(nodes))) {
			return fmt.Errorf("%s says\n%s", node.Addr, info)
		}
		replication, err := node.Client().Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if strings.Contains(replication, "role:slave") && !strings.Contains(replication, "master_link_status:up") ||
			strings.Contains(replication, "role:master") && !strings.Contains(replication, replicas) {
			return fmt.Errorf("%s says\n%s", node.Addr, replication)
		}
	}
	return nil
}

// Migration is a slot on its way from one master to another.
type Migration struct {
	cluster  *RedisCluster
	slot     int
	from, to *RedisServer
}

// Migrate begins to move a slot: from now on its keys are at either of the two masters.
func (c *RedisCluster) Migrate(ctx context.Context, slot int, from, to *RedisServer) (*Migration, error) {
	source, err := from.Client().ClusterMyID(ctx).Result()
	if err != nil {
		return nil, err
	}
	target, err := to.Client().ClusterMyID(ctx).Result()
	if err != nil {
		return nil, err
	}
	if err := to.Client().Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", source).Err(); err != nil {
		return nil, fmt.Errorf("let %s import slot %d: %w", to.Addr, slot, err)
	}
	if err := from.Client().Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", target).Err(); err != nil {
		return nil, fmt.Errorf("let %s give slot %d away: %w", from.Addr, slot, err)
	}
	return &Migration{c, slot, from, to}, nil
}

// Move moves up to so many keys of the slot, and returns how many there were.
func (m *Migration) Move(ctx context.Context, keys int) (int, error) {
	names, err := m.from.Client().ClusterGetKeysInSlot(ctx, m.slot, keys).Result()
	if err != nil || len(names) == 0 {
		return 0, err
	}
	host, port, err := net.SplitHostPort(m.to.Addr)
	if err != nil {
		return 0, err
	}
	password, _ := admin.Password()
	args := []any{"MIGRATE", host, port, "", 0, 5000, "AUTH2", admin.Username(), password, "KEYS"}
	for _, name := range names {
		args = append(args, name)
	}
	if err := m.from.Client().Do(ctx, args...).Err(); err != nil {
		return 0, fmt.Errorf("move %d keys of slot %d: %w", len(names), m.slot, err)
	}
	return len(names), nil
}

// Finish moves what is left and gives the slot to its new master.
func (m *Migration) Finish(ctx context.Context) error {
	for {
		n, err := m.Move(ctx, 100)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	id, err := m.to.Client().ClusterMyID(ctx).Result()
	if err != nil {
		return err
	}
	// The new master first: the old one refuses to go on serving a slot that nobody else serves.
	for _, master := range append([]*RedisServer{m.to, m.from}, m.cluster.Masters...) {
		err = errors.Join(err, master.Client().Do(ctx, "CLUSTER", "SETSLOT", m.slot, "NODE", id).Err())
	}
	if err != nil {
		return fmt.Errorf("give slot %d to %s: %w", m.slot, m.to.Addr, err)
	}
	return nil
}
