package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisExample ends the errors about a Redis URL.
const redisExample = "for instance redis://127.0.0.1:6379/0"

// redacted replaces a secret.
const redacted = "xxxxx"

// RedisURL is the URL of Redis, in the notation of go-redis. With the parameter master_name it is a
// set of Sentinels, with addr and without master_name a Cluster, and a single server otherwise. It prints without its
// password; a conversion to string has it.
type RedisURL string

// String is the URL with every secret replaced. It is completely redacted if it is not clear where the secret is.
func (r RedisURL) String() string {
	u, err := r.parse()
	if err != nil {
		return "(hidden)"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, redacted)
			u.RawQuery = query.Encode()
		}
	}
	if u.User != nil {
		if _, has := u.User.Password(); !has {
			u.User = url.User(redacted) // A password in place of the user name is a common mistake.
		}
	}
	return u.Redacted()
}

// GoString keeps the password out of %#v.
func (r RedisURL) GoString() string { return r.String() }

// MarshalText keeps the password out of JSON and structured logs.
func (r RedisURL) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// parse reads the URL's own syntax. An "@" behind the host is refused: it is what a password with an unescaped slash or
// question mark leaves, which would then be taken for a database or an option, and printed.
func (r RedisURL) parse() (*url.URL, error) {
	// The causes are left out of these errors, since they repeat the URL.
	u, err := url.Parse(string(r))
	if err != nil || u.Opaque != "" || strings.ContainsRune(u.Path+u.RawQuery+u.RawFragment+u.Fragment, '@') {
		return nil, errors.New(
			"the value, which may hold a password and is not shown, is not a URL with special characters escaped, " +
				redisExample,
		)
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errors.New(
			"the value, which may hold a password and is not shown, has options that are not name=value&..., " + redisExample,
		)
	}
	return u, nil
}

// redisOptions has one of the three ways to reach Redis; the others are nil.
type redisOptions struct {
	single   *redis.Options
	failover *redis.FailoverOptions
	cluster  *redis.ClusterOptions
}

// options reads the URL with the parser that go-redis has for its mode.
func (r RedisURL) options() (redisOptions, error) {
	u, err := r.parse()
	if err != nil {
		return redisOptions{}, err
	}
	var o redisOptions
	switch query := u.Query(); {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		err = errors.New("the scheme is none of redis, rediss, unix")
	case query.Has("master_name"):
		o.failover, err = redis.ParseFailoverURL(string(r))
		if err == nil && o.failover.MasterName == "" {
			err = errors.New("master_name is empty")
		}
	case query.Has("addr"):
		o.cluster, err = redis.ParseClusterURL(string(r))
		if err == nil && strings.Trim(u.Path, "/") != "" && strings.Trim(u.Path, "/") != "0" {
			err = errors.New("a Redis Cluster has database 0 only")
		}
	default:
		o.single, err = redis.ParseURL(string(r))
	}
	if err == nil {
		err = mastersOnly(u.Query())
	}
	if err != nil {
		return redisOptions{}, fmt.Errorf(
			"%s is not a Redis URL (%s), %s",
			shown(r.String()),
			strings.TrimPrefix(err.Error(), "redis: "),
			redisExample,
		)
	}
	return o, nil
}

// mastersOnly refuses the options that send reads to replicas: a replica lags, and the fold must see its own writes.
func mastersOnly(query url.Values) error {
	for _, name := range []string{"read_only", "replica_only", "route_by_latency", "route_randomly",
		"use_disconnected_replicas"} {
		if query.Has(name) {
			return fmt.Errorf("the option %s reads from replicas, which lag", name)
		}
	}
	return nil
}

// NewRedis makes a client of the configured Redis. It does not connect; the first command does. Timeouts that the URL
// does not set are RedisTimeout, and the deadline of a command's context applies too.
func (s *Settings) NewRedis() (redis.UniversalClient, error) {
	o, err := s.RedisURL.options()
	if err != nil {
		return nil, fmt.Errorf("%sREDIS_URL: %w", prefix, err)
	}
	switch {
	case o.failover != nil:
		s.bound(&o.failover.DialTimeout, &o.failover.ReadTimeout, &o.failover.WriteTimeout)
		o.failover.ContextTimeoutEnabled = true
		return redis.NewFailoverClient(o.failover), nil
	case o.cluster != nil:
		s.bound(&o.cluster.DialTimeout, &o.cluster.ReadTimeout, &o.cluster.WriteTimeout)
		o.cluster.ContextTimeoutEnabled = true
		return redis.NewClusterClient(o.cluster), nil
	default:
		s.bound(&o.single.DialTimeout, &o.single.ReadTimeout, &o.single.WriteTimeout)
		o.single.ContextTimeoutEnabled = true
		return redis.NewClient(o.single), nil
	}
}

func (s *Settings) bound(timeouts ...*time.Duration) {
	for _, timeout := range timeouts {
		if *timeout == 0 {
			*timeout = s.RedisTimeout
		}
	}
}
