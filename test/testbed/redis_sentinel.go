package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// sentinelMaster is the name of the master that Sentinels watch.
const sentinelMaster = "stormfold"

// shippedServers is how many servers, and how many Sentinels, deploy/redis/ha has.
const shippedServers = 3

// RedisSentinel is what deploy/redis/ha starts: a Redis master, two replicas, and three Sentinels that replace the
// master when two of them miss it. Each is started by its own script, with the shipped ACL and configuration.
type RedisSentinel struct {
	// URL is the function's, in the notation of go-redis for Sentinel.
	URL string
	// Servers are the master and the replicas as they were started; who is what may have changed since, see Roles.
	Servers []*RedisServer
	// Client finds the master by the Sentinels. It may do everything.
	Client *redis.Client

	addresses []string
	commands  []Command // Of the Sentinels.
	sentinels []*Process
}

// Sentinel starts the servers and Sentinels of deploy/redis/ha for a test, and returns when the replicas have caught up
// and the Sentinels know them and each other. The settings are further lines of redis.conf.
func Sentinel(t testing.TB, settings ...string) *RedisSentinel {
	t.Helper()
	s := &RedisSentinel{}
	if err := s.start(t, settings); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	Eventually(t, readyTimeout, "the Sentinels", s.Complete)
	return s
}

func (s *RedisSentinel) start(t testing.TB, settings []string) error {
	first, err := FreePort()
	if err != nil {
		return err
	}
	env := []string{"HOST=127.0.0.1", "FIRST=127.0.0.1", "FIRST_PORT=" + strconv.Itoa(first)}
	// Without the pause that a master makes for further replicas before the first copy.
	settings = append([]string{"repl-diskless-sync-delay 0"}, settings...)
	for i := range shippedServers {
		port := first
		if i > 0 {
			if port, err = FreePort(); err != nil {
				return err
			}
		}
		server, err := startShipped(t.TempDir(), "ha/redis.sh", port, settings, env...)
		if err != nil {
			return err
		}
		server.endWith(t)
		s.Servers = append(s.Servers, server)
	}
	for range shippedServers {
		port, err := FreePort()
		if err != nil {
			return err
		}
		command, err := shipped("sentinel", t.TempDir(), "ha/sentinel.sh", port, nil, env...)
		if err != nil {
			return err
		}
		s.addresses, s.commands = append(s.addresses, loopback(port)), append(s.commands, command)
	}
	t.Cleanup(func() { s.close(t) })
	if err := s.StartSentinels(); err != nil {
		return err
	}
	s.URL = (&url.URL{
		Scheme: "redis", User: url.UserPassword("", SentinelPassword), Host: s.addresses[0], Path: "/0", RawQuery: url.Values{
			"addr": s.addresses[1:], "master_name": {sentinelMaster}, "username": {"stormfold"}, "password": {FunctionPassword},
		}.Encode(),
	}).String()
	password, _ := admin.Password()
	s.Client = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinelMaster, SentinelAddrs: s.addresses, SentinelPassword: SentinelPassword,
		Username: admin.Username(), Password: password, ContextTimeoutEnabled: true,
	})
	return nil
}

// close ends the Sentinels; each server ends by itself.
func (s *RedisSentinel) close(t testing.TB) {
	err := s.KillSentinels()
	if s.Client != nil {
		err = errors.Join(err, s.Client.Close())
	}
	if err != nil {
		t.Errorf("testbed: %v", err)
	}
	for _, p := range s.sentinels {
		p.LogOnFailure(t)
	}
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

func sentinelClient(address string) *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{Addr: address, Password: SentinelPassword, MaxRetries: -1})
}

// Complete is nil when every Sentinel sees the master, all replicas that follow it, and the other Sentinels.
func (s *RedisSentinel) Complete(ctx context.Context) error {
	for _, address := range s.addresses {
		client := sentinelClient(address)
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
		others := strconv.Itoa(len(s.addresses) - 1)
		if master["flags"] != "master" || following != len(s.Servers)-1 || master["num-other-sentinels"] != others {
			return fmt.Errorf("the Sentinel %s knows a master %q, %d replicas of %d that follow it, %s other Sentinels",
				address, master["flags"], following, len(s.Servers)-1, master["num-other-sentinels"])
		}
	}
	return nil
}

// Roles are the master that the Sentinels name, and the other servers.
func (s *RedisSentinel) Roles(ctx context.Context) (master *RedisServer, replicas []*RedisServer, err error) {
	for _, address := range s.addresses {
		client := sentinelClient(address)
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
