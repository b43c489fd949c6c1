package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// sentinelMaster is the name of the master that Sentinels watch.
const sentinelMaster = "stormfold"

// SentinelDown is how long a server has to be silent until a Sentinel takes it for gone: less than production has, more than a
// loaded machine makes a healthy server wait.
const SentinelDown = 2 * time.Second

// RedisSentinel is a Redis master, its replicas, and three Sentinels that replace the master when two of them miss it.
type RedisSentinel struct {
	// URL has the notation of go-redis for Sentinel.
	URL string
	// Servers are the master and the replicas as they were started; who is what may have changed since, see Roles.
	Servers []*RedisServer
	// Client finds the master by the Sentinels.
	Client *redis.Client

	addresses []string
	commands  []Command // Of the Sentinels.
	sentinels []*Process
}

// Sentinel starts a master with so many replicas and three Sentinels for a test, and returns when the replicas have caught up
// and the Sentinels know them and each other.
func Sentinel(t testing.TB, replicas int) *RedisSentinel {
	t.Helper()
	s := &RedisSentinel{}
	// Without the pause that a master makes for further replicas before the first copy.
	args := []string{"--repl-diskless-sync-delay", "0"}
	for range replicas + 1 {
		s.Servers = append(s.Servers, Redis(t, args...))
		if len(s.Servers) == 1 {
			host, port, err := net.SplitHostPort(s.Servers[0].Addr)
			if err != nil {
				t.Fatalf("testbed: %v", err)
			}
			args = append(args, "--replicaof", host, port)
		}
	}
	for range 3 {
		if err := s.addSentinel(t.TempDir()); err != nil {
			t.Fatalf("testbed: %v", err)
		}
	}
	t.Cleanup(func() {
		if err := s.KillSentinels(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		for _, p := range s.sentinels {
			p.LogOnFailure(t)
		}
	})
	if err := s.StartSentinels(); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	query := url.Values{"master_name": {sentinelMaster}, "addr": s.addresses[1:]}
	s.URL = (&url.URL{Scheme: "redis", Host: s.addresses[0], Path: "/0", RawQuery: query.Encode()}).String()
	s.Client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: sentinelMaster, SentinelAddrs: s.addresses, ContextTimeoutEnabled: true})
	t.Cleanup(func() {
		if err := s.Client.Close(); err != nil {
			t.Errorf("testbed: %v", err)
		}
	})
	Eventually(t, readyTimeout, "the Sentinels", func(ctx context.Context) error { return s.complete(ctx, replicas) })
	return s
}

// addSentinel writes the configuration of one more Sentinel, which will keep in it what it learns.
func (s *RedisSentinel) addSentinel(dir string) error {
	path, err := Program("redis-sentinel")
	if err != nil {
		return err
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	host, master, err := net.SplitHostPort(s.Servers[0].Addr)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, `port %d
bind 127.0.0.1
dir %s
sentinel monitor %[3]s %s %s 2
sentinel down-after-milliseconds %[3]s %[6]d
sentinel failover-timeout %[3]s 10000
sentinel parallel-syncs %[3]s 3
`, port, dir, sentinelMaster, host, master, SentinelDown.Milliseconds()), 0o600); err != nil {
		return err
	}
	s.addresses = append(s.addresses, loopback(port))
	s.commands = append(s.commands, Command{Name: "sentinel-" + strconv.Itoa(port), Path: path, Args: []string{config}, Dir: dir})
	return nil
}

// StartSentinels starts all Sentinels, again when they have ended: they know then what they knew.
func (s *RedisSentinel) StartSentinels() error {
	s.sentinels = nil
	for _, command := range s.commands {
		p, err := StartProcess(command)
		if err != nil {
			return err
		}
		s.sentinels = append(s.sentinels, p)
	}
	return nil
}

// KillSentinels ends all Sentinels by SIGKILL.
func (s *RedisSentinel) KillSentinels() error {
	var errs []error
	for _, p := range s.sentinels {
		errs = append(errs, p.Kill())
	}
	return errors.Join(errs...)
}

// complete is nil when every Sentinel sees the master, that many replicas that follow it, and the other Sentinels.
func (s *RedisSentinel) complete(ctx context.Context, replicas int) error {
	for _, address := range s.addresses {
		client := redis.NewSentinelClient(&redis.Options{Addr: address, MaxRetries: -1})
		master, err := client.Master(ctx, sentinelMaster).Result()
		followers, err2 := client.Replicas(ctx, sentinelMaster).Result()
		if err := errors.Join(err, err2, client.Close()); err != nil {
			return err
		}
		following := 0
		for _, f := range followers {
			if f["flags"] == "slave" && f["master-link-status"] == "ok" {
				following++
			}
		}
		if master["flags"] != "master" || following < replicas || master["num-other-sentinels"] != "2" {
			return fmt.Errorf("the Sentinel %s knows a master %q, %d replicas of %d that follow it, %s other Sentinels",
				address, master["flags"], following, replicas, master["num-other-sentinels"])
		}
	}
	return nil
}

// Roles are the master that the Sentinels name, and the other servers.
func (s *RedisSentinel) Roles(ctx context.Context) (master *RedisServer, replicas []*RedisServer, err error) {
	for _, address := range s.addresses {
		client := redis.NewSentinelClient(&redis.Options{Addr: address, MaxRetries: -1})
		var found []string
		found, err = client.GetMasterAddrByName(ctx, sentinelMaster).Result()
		if err = errors.Join(err, client.Close()); err != nil {
			continue
		}
		for _, server := range s.Servers {
			if server.Addr == net.JoinHostPort(found[0], found[1]) {
				master = server
			} else {
				replicas = append(replicas, server)
			}
		}
		return master, replicas, nil
	}
	return nil, nil, err
}
