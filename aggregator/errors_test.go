package aggregator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// serverError is an error that Redis answered with.
type serverError string

func (e serverError) Error() string { return string(e) }
func (serverError) RedisError()     {}

func TestErrorsAreClassifiedByWhatTheyAre(t *testing.T) {
	_, cannotMarshal := json.Marshal(math.Inf(1))
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for want, all := range map[error][]error{
		ErrOutOfMemory: {serverError("OOM command not allowed when used memory > 'maxmemory'.")},
		ErrUnavailable: {
			serverError("LOADING Redis is loading the dataset in memory"),
			serverError("READONLY You can't write against a read only replica."),
			serverError("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
			serverError("CLUSTERDOWN The cluster is down"),
			serverError("TRYAGAIN Multiple keys request during rehashing of slot"),
			serverError("NOREPLICAS Not enough good replicas to write."),
			serverError("MOVED 3999 127.0.0.1:6381"),
			serverError("ASK 3999 127.0.0.1:6381"),
			serverError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
			serverError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."),
			serverError("WAITING the group's incidents have not been imported from Kubernetes yet"),
			serverError("ERR max number of clients reached"),
			fmt.Errorf("failed to initialize connection options: %w",
				serverError("LOADING Redis is loading the dataset in memory")),
			fmt.Errorf("redis: all sentinels specified in configuration are unreachable: %w",
				serverError("ERR No such master with that name")),
			errors.New("redis: cluster has no nodes"), redis.ErrClosed, redis.ErrPoolExhausted,
			io.EOF, fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), net.ErrClosed, dial, &net.DNSError{Err: "no such host",
				IsNotFound: true},
			&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
			tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"},
			errors.New("tls: server selected unsupported protocol version 301"),
		},
		ErrTimeout: {
			context.DeadlineExceeded, os.ErrDeadlineExceeded, redis.ErrPoolTimeout,
			&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, &net.DNSError{Err: "i/o timeout",
				IsTimeout: true},
		},
		ErrRefused: {
			serverError("NOAUTH Authentication required."),
			serverError("WRONGPASS invalid username-password pair or user is disabled."),
			serverError("NOPERM User stormfold has no permissions to run the 'set' command"),
			serverError("DENIED Redis is running in protected mode"),
			serverError("ERR The user executing the script can't run this command or subcommand"),
			serverError("ERR ACL failure in script: User stormfold has no permissions to run the 'set' command"),
			fmt.Errorf("failed to authenticate: %w",
				serverError("WRONGPASS invalid username-password pair or user is disabled.")),
			fmt.Errorf("redis: all sentinels specified in configuration are unreachable: %w", errors.Join(dial,
				serverError("NOAUTH Authentication required."))),
		},
		ErrUntrusted: {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}},
		ErrScript: {
			serverError("WRONGTYPE Operation against a key holding the wrong kind of value"), redis.ErrCrossSlot,
			serverError("ERR user_script:12: attempt to index a nil value"), serverError("ERR Error running script"),
			serverError("ERR value is not an integer or out of range"), serverError("NOSCRIPT No matching script."),
			serverError("BUSYKEY Target key name already exists."),
			fmt.Errorf("failed to initialize connection options: %w", serverError("ERR DB index is out of range")),
		},
		ErrReply:   {redis.Nil},
		ErrGivenUp: {context.Canceled, &net.OpError{Op: "dial", Net: "tcp", Err: context.Canceled}},
	} {
		for _, err := range all {
			got := classify(err)
			require.ErrorIs(t, got, want, "%v", err)
			require.ErrorIs(t, got, err)
			require.Equal(t, FailureOf(want), FailureOf(got), "%v", err)
			require.Equal(t, got, classify(got), "once is enough")
		}
	}

	// What is not about Redis has no kind.
	for _, err := range []error{
		cannotMarshal, errors.New("redis: can't marshal func() (implement encoding.BinaryMarshaler)"),
		errors.New("anything"),
	} {
		require.Equal(t, err, classify(err))
		require.Empty(t, FailureOf(err), "%v", err)
	}
	require.NoError(t, classify(nil))
	for _, err := range []error{ErrReplicas, fmt.Errorf("x: %w: %w", ErrReplicas, io.EOF), fmt.Errorf("%w: x", ErrReply)} {
		require.Equal(t, err, classify(err))
	}
}

// What a real Redis says, and its client.
func TestErrorsOfARealRedisAreClassified(t *testing.T) {
	l := newLab(t, nil)
	fold := func(a *Aggregator, ctx context.Context) error {
		l.Aggregator = a
		_, err := a.Fold(
			ctx,
			Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(1, Firing)}),
			func(Group) string { return "stormfold" },
		)
		return err
	}
	ours := l.Aggregator
	group := Split(config.Policies{List: []config.Policy{l.policy}}, Batch{Alerts: l.pods(1, Firing)})[0].ID
	require.NoError(t, l.rdb.Set(l.ctx, l.keys.group(group).hash, "someone else's", 0).Err())
	require.Equal(t, FailureOf(ErrScript), FailureOf(fold(ours, l.ctx)), "a key of another program under our name")
	require.NoError(t, l.rdb.Del(l.ctx, l.keys.group(group).hash).Err())

	given, cancel := context.WithCancel(l.ctx)
	cancel()
	err := fold(ours, given)
	require.ErrorIs(t, err, ErrGivenUp)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, FailureOf(err))

	client := func(change func(*redis.Options)) *Aggregator {
		o := &redis.Options{
			Network:       l.rdb.Options().Network,
			Addr:          l.rdb.Options().Addr,
			MaxRetries:    -1,
			DialerRetries: 1,
			DialTimeout:   time.Second,
		}
		change(o)
		rdb := redis.NewClient(o)
		t.Cleanup(func() { _ = rdb.Close() })
		return New(Options{Redis: rdb, Lease: time.Second})
	}
	require.NoError(t, l.rdb.Do(l.ctx, "ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-hset").Err())
	t.Cleanup(func() { l.rdb.Do(context.WithoutCancel(l.ctx), "ACL", "DELUSER", "reader") })
	as := func(user, password string) *Aggregator {
		return client(func(o *redis.Options) { o.Username, o.Password = user, password })
	}
	err = fold(as("reader", "secret"), l.ctx)
	require.Equal(t, FailureOf(ErrRefused), FailureOf(err), "a command inside of a script: %v", err)
	err = as("reader", "wrong").Ping(l.ctx)
	require.Equal(t, FailureOf(ErrRefused), FailureOf(err), "%v", err)
	err = client(func(o *redis.Options) { o.DB = 99 }).Ping(l.ctx)
	require.Equal(t, FailureOf(ErrScript), FailureOf(err), "%v", err)
	err = client(
		func(o *redis.Options) { o.TLSConfig = &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS12} },
	).Ping(l.ctx)
	require.Contains(t, []Failure{FailureOf(ErrUnavailable), FailureOf(ErrTimeout)}, FailureOf(err), "%v", err)
	nobody, listenErr := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, listenErr)
	require.NoError(t, nobody.Close())
	err = client(func(o *redis.Options) { o.Network, o.Addr = "tcp", nobody.Addr().String() }).Ping(l.ctx)
	require.Equal(t, FailureOf(ErrUnavailable), FailureOf(err), "%v", err)
	closed := client(func(*redis.Options) {})
	require.NoError(t, closed.rdb.Close())
	require.Equal(t, FailureOf(ErrUnavailable), FailureOf(closed.Ping(l.ctx)))
}
