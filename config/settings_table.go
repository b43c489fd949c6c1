package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/configmap"
)

const (
	namespaceKey   = prefix + "NAMESPACE"
	redisPrefixKey = prefix + "REDIS_PREFIX"
)

// Setting is one line of the table of settings.
type Setting struct {
	// Key is the name of the environment variable, and of the entry in the cfg file.
	Key string
	// Default is the default value, in the notation of the setting.
	Default string
	// Unit is the kind of value: a duration, a path, a number of something.
	Unit string
	// Bound describes the allowed values.
	Bound string
	// Help is one sentence about the effect of the setting.
	Help string

	// read parses the value from the map into the settings.
	read func(s *Settings, data map[string]string) *apis.FieldError
}

// SettingsTable is every setting, in the order of the documentation.
func SettingsTable() []Setting {
	return []Setting{
		{
			Key: prefix + "REDIS_URL", Default: "redis://127.0.0.1:6379/0", Unit: "URL",
			Bound: "`redis://`, `rediss://` or `unix://`",
			Help:  "URL of [Redis](#redis).", read: readRedisURL,
		},
		{
			Key: redisPrefixKey, Default: "sf", Unit: "word", Bound: "1 to 32 of a-z, 0-9 and -",
			Help: "Prefix of every key in [Redis](#redis). Installations that share a Redis need different ones.",
			read: readRedisPrefix,
		},
		durationSetting("REDIS_TIMEOUT", "2s", "50ms", "30s", "Timeout of each dial, read and write, unless the URL sets it.",
			func(s *Settings) *time.Duration { return &s.RedisTimeout }),
		numberSetting(
			"REDIS_WAIT_REPLICAS",
			"0",
			"replicas",
			0,
			16,
			"Number of replicas that must have an event's alerts before it is accepted; "+
				"0 does not wait. See [Redis](#redis).",
			func(s *Settings) *int { return &s.RedisWaitReplicas },
		),
		durationSetting(
			"REDIS_BREAKER",
			"1s",
			"0s",
			"1m",
			"How long events are refused without asking Redis, after it did not answer five in a row; "+
				"then one is tried. 0s turns that off.",
			func(s *Settings) *time.Duration { return &s.RedisBreaker },
		),
		{
			Key: namespaceKey, Default: "stormfold", Unit: "name", Bound: "a DNS label",
			Help: "Namespace of the incidents. In a pod the default is the pod's namespace.", read: readNamespace,
		},
		wordSetting(
			"NAMESPACE_MODE",
			NamespaceFunction,
			[]string{NamespaceFunction, NamespaceAlert},
			"`function` writes all incidents to that namespace; `alert` writes each to the namespace of its alert, if that exists.",
			func(s *Settings) *string { return &s.NamespaceMode },
		),
		pathSetting(
			"KUBECONFIG",
			"Path of a kubeconfig file. Without one the pod's ServiceAccount is used.",
			func(s *Settings) *string { return &s.Kubeconfig },
		),
		durationSetting("KUBE_TIMEOUT", "5s", "100ms", "60s", "Timeout of a Kubernetes API call.",
			func(s *Settings) *time.Duration { return &s.KubeTimeout }),
		numberSetting("KUBE_QPS", "50", "requests per second", 1, 1000, "Rate limit of a pod's Kubernetes API calls.",
			func(s *Settings) *int { return &s.KubeQPS }),
		numberSetting("KUBE_BURST", "100", "requests", 1, 2000, "Burst of that rate limit.",
			func(s *Settings) *int { return &s.KubeBurst }),
		pathSetting(
			prefix+"POLICIES",
			"Path of the policy file. Without one the built-in policies are used.",
			func(s *Settings) *string { return &s.Policies },
		),
		durationSetting("POLICIES_RELOAD", "10s", "1s", "1h", "How often the policy file is read.",
			func(s *Settings) *time.Duration { return &s.PoliciesReload }),
		durationSetting(
			"REQUEST_TIMEOUT",
			"15s",
			"1s",
			"25s",
			"Timeout of the work on one event: Redis with all retries, and Kubernetes. "+
				"The runtime aborts an answer after 30 s.",
			func(s *Settings) *time.Duration { return &s.RequestTimeout },
		),
		numberSetting(
			"CONCURRENCY",
			"256",
			"events",
			1,
			10000,
			"Maximum number of events a pod works on at once. It answers further ones with 503.",
			func(s *Settings) *int { return &s.Concurrency },
		),
		durationSetting(
			"LEASE",
			"20s",
			"5s",
			"5m",
			"How long a pod may hold the lease to write a group. The groups of a pod that dies "+
				"wait that long.",
			func(s *Settings) *time.Duration { return &s.Lease },
		),
		durationSetting("SWEEP_INTERVAL", "15s", "1s", "10m", "How often a pod looks for groups that are due, with jitter.",
			func(s *Settings) *time.Duration { return &s.SweepInterval }),
		durationSetting(
			"RESYNC_INTERVAL",
			"10m",
			"1s",
			"24h",
			"How often one pod lists all incidents and restores those that someone deleted or edited.",
			func(s *Settings) *time.Duration { return &s.ResyncInterval },
		),
		numberSetting("PROJECTIONS", "16", "groups", 1, 256, "Maximum number of groups a pod writes to Kubernetes at once.",
			func(s *Settings) *int { return &s.Projections }),
		{
			Key: prefix + "METRICS_ADDRESS", Default: ":9464", Unit: "host:port", Bound: "a port up to 65535, or `off`",
			Help: "Address of the metrics. `off` or empty turns them off.", read: readMetricsAddress,
		},
		wordSetting("LOG_LEVEL", "info", []string{"debug", "info", "warn", "error"}, "Lowest level that is logged.",
			func(s *Settings) *string { return &s.LogLevel }),
	}
}

func durationSetting(name, byDefault, from, to, help string, field func(*Settings) *time.Duration) Setting {
	key, bound := prefix+name, durationsFrom(from, to)
	return Setting{
		Key: key, Default: byDefault, Unit: "duration", Bound: bound.bound(), Help: help,
		read: func(s *Settings, data map[string]string) *apis.FieldError {
			if err := configmap.Parse(data, configmap.AsDuration(key, field(s))); err != nil || !bound.has(*field(s)) {
				return wrong("%s", bound.refuse(shown(data[key]), byDefault))
			}
			return nil
		},
	}
}

func numberSetting(name, byDefault, unit string, from, to int, help string, field func(*Settings) *int) Setting {
	key, bound := prefix+name, numbers{from, to}
	return Setting{
		Key: key, Default: byDefault, Unit: unit, Bound: bound.bound(), Help: help,
		read: func(s *Settings, data map[string]string) *apis.FieldError {
			if err := configmap.Parse(data, configmap.AsInt(key, field(s))); err != nil || !bound.has(*field(s)) {
				return wrong("%s", bound.refuse(shown(data[key]), byDefault))
			}
			return nil
		},
	}
}

func wordSetting(name, byDefault string, words []string, help string, field func(*Settings) *string) Setting {
	key, last := prefix+name, len(words)-1
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = "`" + word + "`"
	}
	return Setting{
		Key: key, Default: byDefault, Unit: "word", Bound: strings.Join(quoted[:last], ", ") + " or " + quoted[last],
		Help: help,
		read: func(s *Settings, data map[string]string) *apis.FieldError {
			if err := configmap.Parse(data, configmap.AsString(key, field(s))); err != nil ||
				!slices.Contains(words, *field(s)) {
				return wrong("%s is not %s or %s", shown(data[key]), strings.Join(words[:last], ", "), words[last])
			}
			return nil
		},
	}
}

// pathSetting is not validated here: reading the file later gives a better error.
func pathSetting(key, help string, field func(*Settings) *string) Setting {
	return Setting{
		Key: key, Unit: "path", Bound: "a file that can be read", Help: help,
		read: func(s *Settings, data map[string]string) *apis.FieldError {
			if err := configmap.Parse(data, configmap.AsString(key, field(s))); err != nil {
				return wrong("%s is not a path", shown(data[key]))
			}
			return nil
		},
	}
}

func readRedisURL(s *Settings, data map[string]string) *apis.FieldError {
	if err := configmap.Parse(data, configmap.AsString(prefix+"REDIS_URL", (*string)(&s.RedisURL))); err != nil {
		return wrong("it cannot be read")
	}
	if _, err := s.RedisURL.options(); err != nil {
		return wrong("%s", err.Error())
	}
	return nil
}

func readRedisPrefix(s *Settings, data map[string]string) *apis.FieldError {
	err := configmap.Parse(data, configmap.AsString(redisPrefixKey, &s.RedisPrefix))
	if err == nil {
		err = CheckRedisPrefix(s.RedisPrefix)
	}
	if err != nil {
		return wrong("%s", err.Error())
	}
	return nil
}

// redisPrefix matches valid prefixes. They have no character with a meaning in an ACL's key pattern.
var redisPrefix = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// CheckRedisPrefix validates a prefix for the keys in Redis.
func CheckRedisPrefix(prefix string) error {
	if !redisPrefix.MatchString(prefix) {
		return fmt.Errorf("%s is not a prefix, which has 1 to 32 of a-z, 0-9 and -, for instance sf", shown(prefix))
	}
	return nil
}

func readNamespace(s *Settings, data map[string]string) *apis.FieldError {
	err := configmap.Parse(data, configmap.AsString(namespaceKey, &s.Namespace))
	if err != nil || len(validation.IsDNS1123Label(s.Namespace)) > 0 {
		return wrong(
			"%s is not a namespace, which has up to 63 of a-z, 0-9 and - and neither begins nor ends with -, for instance stormfold",
			shown(data[namespaceKey]),
		)
	}
	return nil
}

func readMetricsAddress(s *Settings, data map[string]string) *apis.FieldError {
	const key = prefix + "METRICS_ADDRESS"
	err := configmap.Parse(data, configmap.AsString(key, &s.MetricsAddress))
	if s.MetricsAddress == "off" {
		s.MetricsAddress = ""
	}
	if err == nil && s.MetricsAddress == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(s.MetricsAddress)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return wrong("%s is not host:port or off, for instance :9464", shown(data[key]))
	}
	return nil
}
