package source

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// prefix begins the name of every setting but Knative's own.
const prefix = "STORMFOLD_SOURCE_"

// The names of settings that errors name.
const (
	sinkKey      = "K_SINK"
	overridesKey = "K_CE_OVERRIDES"
	caCertsKey   = "K_CA_CERTS"
	addressKey   = prefix + "ADDRESS"
	metricsKey   = prefix + "METRICS_ADDRESS"
	originKey    = prefix + "EVENT_SOURCE"
	tokenKey     = prefix + "TOKEN_FILE"
	certKey      = prefix + "TLS_CERT_FILE"
	keyKey       = prefix + "TLS_KEY_FILE"
	lookupsKey   = prefix + "LOOKUPS"
)

// Settings are the settings of a process. The table in settings_table.go holds the defaults and bounds.
type Settings struct {
	// Sink is the URL of the sink.
	Sink string
	// SinkCAs are the authorities for a sink with https; nil are the system's.
	SinkCAs *x509.CertPool
	// Extensions are set on every event.
	Extensions map[string]string
	// EventSource is the source of the events; empty is Alertmanager's own URL.
	EventSource string
	// Address and MetricsAddress are where the webhook and the metrics are served, host:port; no MetricsAddress serves
	// none.
	Address, MetricsAddress string
	// TokenFile holds the bearer tokens that are accepted; empty asks for none.
	TokenFile string
	// CertFile and KeyFile are the certificate of the webhook's server; empty is plain HTTP.
	CertFile, KeyFile string
	// Concurrency is how many notifications are sent at once.
	Concurrency int
	// MaxBody is how large a notification's body may be, in bytes.
	MaxBody int64
	// SinkTimeout bounds one event, RequestTimeout a whole notification.
	SinkTimeout, RequestTimeout time.Duration
	// Lookups tells whether alerts are looked up in Kubernetes.
	Lookups bool
	// LogLevel is debug, info, warn or error.
	LogLevel string
}

// Parse reads the settings from the environment. A missing one has its default. The error is one sentence that names
// every wrong key with its value and what would be right.
func Parse(environ map[string]string) (*Settings, error) {
	s, known := &Settings{}, map[string]bool{}
	var wrong []string
	for _, setting := range SettingsTable() {
		known[setting.Key] = true
		value, told := environ[setting.Key]
		if value = strings.TrimSpace(value); !told {
			value = setting.Default
		}
		if err := setting.read(s, value); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %s", setting.Key, err))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(environ)) {
		if strings.HasPrefix(key, prefix) && !known[key] && !foreign(key, environ[key]) {
			wrong = append(wrong, key+": there is no such setting, docs/source.md lists the settings")
		}
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		wrong = append(wrong, fmt.Sprintf("%s, %s: there is only one of them, set both or none", certKey, keyKey))
	}
	if len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	return s, nil
}

// Environ makes a map of what os.Environ returns.
func Environ(entries []string) map[string]string {
	environ := make(map[string]string, len(entries))
	for _, entry := range entries {
		key, value, _ := strings.Cut(entry, "=")
		environ[key] = value
	}
	return environ
}

// serviceLink are the variables that Kubernetes sets in every pod for every Service of its namespace; for a Service
// named stormfold-source they begin like a setting.
var serviceLink = regexp.MustCompile(
	`^STORMFOLD_SOURCE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`,
)

// linkURL is the value of a service link whose name ends in PORT, which alone could be a mistyped setting.
var linkURL = regexp.MustCompile(`^(tcp|udp|sctp)://`)

func foreign(key, value string) bool {
	return serviceLink.MatchString(key) || strings.HasSuffix(key, "_PORT") && linkURL.MatchString(value)
}
