package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"knative.dev/pkg/apis"
)

// prefix is the prefix of every setting except KUBECONFIG, which is Kubernetes' own name.
const prefix = "STORMFOLD_"

// namespaceFile is where Kubernetes tells a pod the namespace that it runs in.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// The values of Settings.NamespaceMode.
const (
	// NamespaceFunction writes every incident to Settings.Namespace.
	NamespaceFunction = "function"
	// NamespaceAlert writes an incident to the namespace of its alerts, if that exists, and to Settings.Namespace
	// otherwise.
	NamespaceAlert = "alert"
)

// Settings are the settings of the process. The table in settings_table.go has the defaults and bounds.
type Settings struct {
	// RedisURL is the URL of Redis. NewRedis makes a client of it.
	RedisURL RedisURL
	// RedisPrefix is the prefix of every key in Redis.
	RedisPrefix string
	// RedisTimeout is the timeout of each dial, read and write, unless the URL has one.
	RedisTimeout time.Duration
	// RedisWaitReplicas is how many replicas must have an event's alerts before it is accepted.
	RedisWaitReplicas int
	// RedisBreaker is how long no fold is tried after several in a row got no answer from Redis; 0 always tries.
	RedisBreaker time.Duration
	// Namespace is where the function writes incidents.
	Namespace string
	// NamespaceMode is NamespaceFunction or NamespaceAlert.
	NamespaceMode string
	// Kubeconfig is the path of a kubeconfig file; empty is the ServiceAccount of the pod.
	Kubeconfig string
	// KubeTimeout bounds one call of the API server.
	KubeTimeout time.Duration
	// KubeQPS and KubeBurst are the client's own limit: requests per second in the long run, and at once.
	KubeQPS, KubeBurst int
	// Policies is the path of the policies file; empty is the built-in policies.
	Policies string
	// PoliciesReload is how often the policies file is read.
	PoliciesReload time.Duration
	// RequestTimeout bounds the work on one event.
	RequestTimeout time.Duration
	// Concurrency is how many events a pod works on at once.
	Concurrency int
	// Lease is how long a pod may hold the right to project a group.
	Lease time.Duration
	// SweepInterval is how often a pod looks for groups that are due.
	SweepInterval time.Duration
	// ResyncInterval is how often the incidents in Kubernetes are compared with Redis.
	ResyncInterval time.Duration
	// Projections is how many groups a pod projects at once.
	Projections int
	// MetricsAddress is where metrics are served, host:port; empty serves none.
	MetricsAddress string
	// LogLevel is debug, info, warn or error.
	LogLevel string
}

// Parse reads the settings from the map that the function's runtime hands to Start. What the map does not hold has its
// default. The error is one sentence that names every wrong key with its value and what would be right.
func Parse(data map[string]string) (*Settings, error) { return parse(data, namespaceFile) }

func parse(data map[string]string, namespaceFile string) (*Settings, error) {
	settings := SettingsTable()
	values := make(map[string]string, len(settings))
	for _, setting := range settings {
		values[setting.Key] = setting.Default
	}
	namespace, err := podNamespace(namespaceFile)
	if err != nil {
		if _, told := data[namespaceKey]; !told {
			return nil, fmt.Errorf("%s: is not set and %s cannot be read, set it to the namespace for incidents: %w",
				namespaceKey, namespaceFile, err)
		}
	}
	if namespace != "" {
		values[namespaceKey] = namespace
	}

	errs := unknown(data, values)
	s := &Settings{}
	for _, setting := range settings {
		if value, told := data[setting.Key]; told {
			values[setting.Key] = strings.TrimSpace(value)
		}
		errs = errs.Also(setting.read(s, values).ViaField(setting.Key))
	}
	if err := invalidOrNil(errs); err != nil {
		return nil, err
	}
	return s, nil
}

// podNamespace is the namespace of the pod that this process runs in, and empty outside of Kubernetes.
func podNamespace(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}

// unknown refuses unknown names that look like settings, since a mistyped setting would silently do nothing. The value
// is not repeated: that of a mistyped name may be a password.
func unknown(data, known map[string]string) *apis.FieldError {
	var errs *apis.FieldError
	names := slices.Sorted(maps.Keys(known))
	for key, value := range data {
		if _, ok := known[key]; ok || !strings.HasPrefix(key, prefix) || foreign(key, value) {
			continue
		}
		hint := didYouMean(key, names, 3, "docs/configuration.md lists the settings")
		errs = errs.Also(wrong("there is no such setting, %s", hint).ViaField(key))
	}
	return errs
}

// serviceLink are the variables that Kubernetes sets in every pod for every Service of its namespace; for a Service
// named stormfold, or stormfold-redis, they begin like a setting.
var serviceLink = regexp.MustCompile(
	`^STORMFOLD_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// linkURL is the value of a service link whose name ends in _PORT, which alone could be a mistyped setting.
var linkURL = regexp.MustCompile(`^(tcp|udp|sctp)://`)

// foreign reports whether a variable has the prefix of a setting but belongs to Kubernetes or to the project's testbed.
func foreign(key, value string) bool {
	return key == prefix+"TESTBED" || strings.HasPrefix(key, prefix+"TESTBED_") || serviceLink.MatchString(key) ||
		strings.HasSuffix(key, "_PORT") && linkURL.MatchString(value)
}
