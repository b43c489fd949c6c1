package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a Redis server on a loopback port. It stays on its address through stops and starts.
type RedisServer struct {
	Addr string // host:port
	URL  string // redis://, with the password when the server has one

	*Process // The running or last process, with Pause, Resume, Log and so on.

	command Command
	client  *redis.Client
}

// StartRedis starts a Redis server that keeps its files in a directory, which has to exist, and returns when it
// answers. It persists nothing; further arguments, as of redis-server, override that and everything else but the ports.
func StartRedis(dir string, args ...string) (*RedisServer, error) {
	path, err := Program("redis-server")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	own := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"}
	if slices.Contains(args, "--cluster-enabled") {
		// Without a word the bus is 10,000 above, where clients have their ports.
		bus, err := FreePort()
		if err != nil {
			return nil, err
		}
		own = append(own, "--cluster-port", strconv.Itoa(bus))
	}
	address := url.URL{Scheme: "redis", Host: loopback(port), Path: "/0"}
	if i := slices.Index(args, "--requirepass"); i >= 0 && i+1 < len(args) {
		address.User = url.UserPassword("", args[i+1])
	}
	return startServer(address, address.User, Command{
		Name: "redis-" + strconv.Itoa(port), Path: path, Dir: dir, Args: append(own, args...),
	})
}

// startServer starts the server of a command, with a client of that user.
func startServer(address url.URL, user *url.Userinfo, command Command) (*RedisServer, error) {
	own := address
	own.User = user
	options, err := redis.ParseURL(own.String())
	if err != nil {
		return nil, fmt.Errorf("make a Redis client: %w", err)
	}
	options.ContextTimeoutEnabled = true
	r := &RedisServer{Addr: address.Host, URL: address.String(), client: redis.NewClient(options), command: command}
	if err := r.Start(); err != nil {
		return nil, errors.Join(err, r.client.Close())
	}
	return r, nil
}

// Redis is StartRedis for tests: the server ends with the test.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	r, err := StartRedis(t.TempDir(), args...)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	r.endWith(t)
	return r
}

// endWith ends the server with the test.
func (r *RedisServer) endWith(t testing.TB) {
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		r.LogOnFailure(t)
	})
}

// Client returns a client that may do everything, heeds its contexts' deadlines and has go-redis' default options
// otherwise. It is closed with the server.
func (r *RedisServer) Client() *redis.Client { return r.client }

// Start starts the server again after Stop or Kill, on the same port and with the same files, and returns when it
// answers.
func (r *RedisServer) Start() error {
	if r.Process != nil && r.Running() {
		return fmt.Errorf("start %s: it is running", r.command.Name)
	}
	p, err := StartProcess(r.command)
	if err != nil {
		return err
	}
	r.Process = p
	if err := awaitReady(p, r.ready); err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// Restart ends the server by SIGTERM and starts it again. Without persistence it comes back empty.
func (r *RedisServer) Restart() error {
	if err := r.Stop(); err != nil {
		return err
	}
	return r.Start()
}

// Close ends the server permanently and closes its client. Its data is not saved.
func (r *RedisServer) Close() error {
	return errors.Join(r.client.Close(), r.Kill())
}

// ready asks on a connection of its own: the pool of the client may hold broken ones from before a restart. The process
// id makes sure that this server answered.
func (r *RedisServer) ready(ctx context.Context) (err error) {
	// go-redis logs each refused connection, which is expected while a server starts.
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return err
	}
	if err := connection.Close(); err != nil {
		return err
	}
	options, err := redis.ParseURL(r.URL)
	if err != nil {
		return fmt.Errorf("make a Redis client: %w", err)
	}
	options.MaxRetries, options.DialerRetries, options.PoolSize = -1, 1, 1
	client := redis.NewClient(options)
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", r.Pid())) {
		return fmt.Errorf("another process than %d answers on %s", r.Pid(), r.Addr)
	}
	return nil
}
