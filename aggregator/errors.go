package aggregator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/redis/go-redis/v9"
)

// The ways in which Redis fails. An error of this package is one of them at most (errors.Is), so that a caller tells them
// apart without knowing Redis. All but ErrRefused can be mended by trying again later.
var (
	// ErrOutOfMemory: Redis is at its maxmemory and refused the script before it began.
	ErrOutOfMemory = errors.New("redis is out of memory")
	// ErrTimeout: no answer in time. The script may have run all the same; running it again does no harm.
	ErrTimeout = errors.New("redis did not answer in time")
	// ErrUnavailable: Redis cannot be reached, is loading, read-only, failing over, or refuses us.
	ErrUnavailable = errors.New("redis is not available")
	// ErrReplicas: the alerts are in Redis, but too few of its replicas had them in time.
	ErrReplicas = errors.New("too few replicas of redis have the alerts")
	// ErrRefused: Redis does not let us in, or not do what we have to. Only its configuration or ours can mend that.
	ErrRefused = errors.New("redis refuses us: check user, password and ACL in STORMFOLD_REDIS_URL")
	// ErrUntrusted: what answers cannot prove to be that Redis. Only its certificate or our configuration can mend that.
	ErrUntrusted = errors.New("redis is not trusted: check the host in STORMFOLD_REDIS_URL, and whether SSL_CERT_FILE has the " +
		"authority that signed its certificate")
	// ErrScript: a script failed. That is a fault of ours.
	ErrScript = errors.New("a script failed in redis")
	// ErrReply: a script answered what this program does not understand.
	ErrReply = errors.New("unexpected reply of Redis")
)

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

// classify wraps an error of go-redis with the one of ours that names its kind.
func classify(err error) error {
	var netErr net.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil:
		return nil
	case redis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("%w: %w", ErrOutOfMemory, err)
	case errors.Is(err, ErrReply), errors.Is(err, ErrReplicas):
		return err
	case errors.As(err, &untrusted):
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	case redis.HasErrorPrefix(err, "ERR user_script"), redis.HasErrorPrefix(err, "ERR Error running script"):
		return fmt.Errorf("%w: %w", ErrScript, err)
	case redis.HasErrorPrefix(err, "NOAUTH"), redis.HasErrorPrefix(err, "WRONGPASS"), redis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout),
		errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
