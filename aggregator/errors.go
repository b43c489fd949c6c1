package aggregator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The ways in which Redis fails. An error of this package is one of them at most (errors.Is), so that a caller tells
// them apart without knowing Redis. All but ErrRefused can be fixed by trying again later.
var (
	// ErrOutOfMemory: Redis is at its maxmemory and refused the script before it began.
	ErrOutOfMemory = errors.New("redis is out of memory")
	// ErrTimeout: no answer in time. The script may have run anyway; running it again does no harm.
	ErrTimeout = errors.New("redis did not answer in time")
	// ErrUnavailable: Redis cannot be reached, is loading, read-only, failing over or busy.
	ErrUnavailable = errors.New("redis is not available")
	// ErrReplicas: the alerts are in Redis, but too few of its replicas had them in time.
	ErrReplicas = errors.New("too few replicas of redis have the alerts")
	// ErrRefused: Redis does not let us in, or not do what we have to. Only its configuration or ours can fix that.
	ErrRefused = errors.New("redis refuses us: check user, password and ACL in STORMFOLD_REDIS_URL")
	// ErrUntrusted: what answers cannot prove to be that Redis. Only its certificate or our configuration can fix
	// that.
	ErrUntrusted = errors.New(
		"redis is not trusted: check the host in STORMFOLD_REDIS_URL, and whether SSL_CERT_FILE has the " +
			"authority that signed its certificate",
	)
	// ErrScript: Redis answers a command or script with an error. That is a fault of ours, or a key of someone else
	// under our name.
	ErrScript = errors.New("a command or script failed in redis")
	// ErrReply: a script answered what this program does not understand.
	ErrReply = errors.New("unexpected reply of Redis")
)

// ErrGivenUp is no failure of Redis: whoever asked gave up before Redis answered.
var ErrGivenUp = errors.New("the request was given up before redis answered")

// Failure is one of the errors above as a word.
type Failure string

var failures = []struct {
	name Failure
	err  error
}{
	{"oom", ErrOutOfMemory}, {"timeout", ErrTimeout}, {"unavailable", ErrUnavailable}, {"replicas", ErrReplicas},
	{"refused", ErrRefused}, {"untrusted", ErrUntrusted}, {"script", ErrScript}, {"reply", ErrReply},
}

// Failures are all that FailureOf may return.
func Failures() []Failure {
	var out []Failure
	for _, f := range failures {
		out = append(out, f.name)
	}
	return out
}

// FailureOf is the way in which Redis failed, and empty for nil and other errors.
func FailureOf(err error) Failure {
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return f.name
		}
	}
	return ""
}

// replies are the kinds of the errors that Redis answers with, by their beginning. Any other is ErrScript.
var replies = map[string]error{
	"OOM ": ErrOutOfMemory,
	// A server that is about to be there, or that has not the keys, or that takes no writes for a while.
	"LOADING ": ErrUnavailable, "READONLY ": ErrUnavailable, "MASTERDOWN ": ErrUnavailable, "CLUSTERDOWN ": ErrUnavailable,
	"TRYAGAIN ": ErrUnavailable, "NOREPLICAS ": ErrUnavailable, "MOVED ": ErrUnavailable, "ASK ": ErrUnavailable,
	"BUSY ": ErrUnavailable, "MISCONF ": ErrUnavailable, "ERR max number of clients ": ErrUnavailable,
	// Our own, of lib.lua: the group takes no more before it is imported.
	"WAITING ": ErrUnavailable,
	"NOAUTH ":  ErrRefused, "WRONGPASS ": ErrRefused, "NOPERM ": ErrRefused, "DENIED ": ErrRefused,
	// A command inside of a script, before Redis 7.2 and since.
	"ERR The user executing the script can't ": ErrRefused, "ERR ACL failure in script": ErrRefused,
	redis.Nil.Error(): ErrReply, // Nothing, where something was expected.
}

func replyKind(reply redis.Error) error {
	for begin, kind := range replies {
		if strings.HasPrefix(reply.Error(), begin) {
			return kind
		}
	}
	return ErrScript
}

// classify wraps an error of go-redis with the one of ours that names its kind. One that is of such a kind already
// stays as it is. So does one that is not about Redis, of arguments that cannot be sent for instance.
func classify(err error) error {
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

func kindOf(err error) error {
	var reply redis.Error
	var untrusted *tls.CertificateVerificationError
	var network net.Error
	isReply, isNetwork := errors.As(err, &reply), errors.As(err, &network)
	switch {
	case err == nil, FailureOf(err) != "", errors.Is(err, ErrGivenUp):
		return nil
	case errors.Is(err, context.Canceled):
		return ErrGivenUp
	case isReply && replyKind(reply) != ErrScript:
		return replyKind(reply)
	case errors.As(err, &untrusted):
		return ErrUntrusted
	case errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, redis.ErrPoolTimeout),
		isNetwork && network.Timeout():
		return ErrTimeout
	case isNetwork, ofConnection(err):
		return ErrUnavailable
	case isReply:
		return ErrScript
	default:
		return nil
	}
}

// ofConnection tells the errors of a connection that are no net.Error. The client's own, and most of those of TLS, have
// no type: they are recognized by their beginning.
func ofConnection(err error) bool {
	var noTLS tls.RecordHeaderError
	text := err.Error()
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err,
		&noTLS) ||
		strings.HasPrefix(text, "tls: ") ||
		strings.HasPrefix(text, "redis: ") && !strings.HasPrefix(text, "redis: can't marshal ")
}
