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
	// Default is the value when nothing is said, as one would write it.
	Default string
	// Unit says what the value is: a duration, a path, a number of something.
	Unit string
	// Bound says which values are allowed.
	Bound string
	// Help says in a sentence what the setting does.
	Help string

	// read takes the value from the map into the settings and says what is wrong with it.
	read func(s *Settings, data map[string]string) *apis.FieldError
}

// SettingsTable is every setting, in the order of the documentation.
func SettingsTable() []Setting {
	return []Setting{
		{
			Key: prefix + "REDIS_URL", Default: "redis://127.0.0.1:6379/0", Unit: "URL", Bound: "`redis://`, `rediss://` or `unix://`",
			Help: "The Redis that holds the fold's state; see [Redis](#redis).", read: readRedisURL,
		},
		{
			Key: redisPrefixKey, Default: "sf", Unit: "word", Bound: "1 to 32 of a-z, 0-9 and -",
			Help: "Begins every key in Redis. Two installations on one Redis need two prefixes; see [Redis](#redis).", read: readRedisPrefix,
		},
		durationSetting("REDIS_TIMEOUT", "2s", "50ms", "30s", "Bounds a dial, a read and a write, each, where the URL does not say otherwise.",
			func(s *Settings) *time.Duration { return &s.RedisTimeout }),
		numberSetting("REDIS_WAIT_REPLICAS", "0", "replicas", 0, 16, "An event is accepted once so many replicas have its alerts too; 503 when that "+
			"takes half of the timeout above. 0 does not wait: see [Redis](#redis).", func(s *Settings) *int { return &s.RedisWaitReplicas }),
		durationSetting("REDIS_BREAKER", "1s", "0s", "1m", "After five events in a row without an answer of Redis, events are refused at once for that long; "+
			"then one is tried. 0s tries all of them, always.", func(s *Settings) *time.Duration { return &s.RedisBreaker }),
		{
			Key: namespaceKey, Default: "stormfold", Unit: "name", Bound: "a DNS label",
			Help: "Where incidents are written. In a pod the default is the pod's own namespace.", read: readNamespace,
		},
		wordSetting("NAMESPACE_MODE", NamespaceFunction, []string{NamespaceFunction, NamespaceAlert},
			"`function` writes every incident to the namespace above; `alert` writes it next to the workload, and to the namespace above "+
				"when the alert's does not exist.", func(s *Settings) *string { return &s.NamespaceMode }),
		pathSetting("KUBECONFIG", "A kubeconfig file. Empty is the pod's ServiceAccount.", func(s *Settings) *string { return &s.Kubeconfig }),
		durationSetting("KUBE_TIMEOUT", "5s", "100ms", "60s", "Bounds one call of the Kubernetes API.",
			func(s *Settings) *time.Duration { return &s.KubeTimeout }),
		numberSetting("KUBE_QPS", "50", "requests per second", 1, 1000, "The client's own limit of calls of the Kubernetes API, in the long run.",
			func(s *Settings) *int { return &s.KubeQPS }),
		numberSetting("KUBE_BURST", "100", "requests", 1, 2000, "How many calls may come at once before that limit holds.",
			func(s *Settings) *int { return &s.KubeBurst }),
		pathSetting(prefix+"POLICIES", "The policies file. Empty is the built-in policies.", func(s *Settings) *string { return &s.Policies }),
		durationSetting("POLICIES_RELOAD", "10s", "1s", "1h", "How often the policies file is looked at.",
			func(s *Settings) *time.Duration { return &s.PoliciesReload }),
		durationSetting("REQUEST_TIMEOUT", "15s", "1s", "25s", "Bounds the work on one event, Redis with all retries and Kubernetes together. "+
			"The runtime cuts an answer off after 30 s.",
			func(s *Settings) *time.Duration { return &s.RequestTimeout }),
		numberSetting("CONCURRENCY", "256", "events", 1, 10000, "How many events a pod works on at once. Further ones are refused with 503, to be delivered again.",
			func(s *Settings) *int { return &s.Concurrency }),
		durationSetting("LEASE", "20s", "5s", "5m", "How long a pod may hold the right to write a group's incidents. When a pod dies, "+
			"its groups wait that long for another.", func(s *Settings) *time.Duration { return &s.Lease }),
		durationSetting("SWEEP_INTERVAL", "15s", "1s", "10m", "How often a pod looks for groups that are due, give or take some jitter.",
			func(s *Settings) *time.Duration { return &s.SweepInterval }),
		durationSetting("RESYNC_INTERVAL", "10m", "1s", "24h", "How often incidents are listed, to write those again that someone deleted or edited. One pod does it "+
			"for all.", func(s *Settings) *time.Duration { return &s.ResyncInterval }),
		numberSetting("PROJECTIONS", "16", "groups", 1, 256, "How many groups a pod writes to Kubernetes at once.",
			func(s *Settings) *int { return &s.Projections }),
		{
			Key: prefix + "METRICS_ADDRESS", Default: ":9464", Unit: "host:port", Bound: "a port up to 65535, or `off`",
			Help: "Where metrics are served, on a listener of their own. `off` or empty serves none.", read: readMetricsAddress,
		},
		wordSetting("LOG_LEVEL", "info", []string{"debug", "info", "warn", "error"}, "The least severe log lines that are written.",
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
		Key: key, Default: byDefault, Unit: "word", Bound: strings.Join(quoted[:last], ", ") + " or " + quoted[last], Help: help,
		read: func(s *Settings, data map[string]string) *apis.FieldError {
			if err := configmap.Parse(data, configmap.AsString(key, field(s))); err != nil || !slices.Contains(words, *field(s)) {
				return wrong("%s is not %s or %s", shown(data[key]), strings.Join(words[:last], ", "), words[last])
			}
			return nil
		},
	}
}

// pathSetting is not looked at before the file is read, whose error then says more.
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

// redisPrefix is what may begin the keys in Redis. It has none of the characters that mean something in the pattern of an ACL.
var redisPrefix = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// CheckRedisPrefix says what is wrong with what is to begin every key in Redis.
func CheckRedisPrefix(prefix string) error {
	if !redisPrefix.MatchString(prefix) {
		return fmt.Errorf("%s is not a prefix, which has 1 to 32 of a-z, 0-9 and -, for instance sf", shown(prefix))
	}
	return nil
}

func readNamespace(s *Settings, data map[string]string) *apis.FieldError {
	err := configmap.Parse(data, configmap.AsString(namespaceKey, &s.Namespace))
	if err != nil || len(validation.IsDNS1123Label(s.Namespace)) > 0 {
		return wrong("%s is not a namespace, which has up to 63 of a-z, 0-9 and - and neither begins nor ends with -, for instance stormfold",
			shown(data[namespaceKey]))
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
