package source

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Setting is one line of the table of settings.
type Setting struct {
	// Key is the name of the environment variable.
	Key string
	// Default is the default value, in the notation of the setting.
	Default string
	// Unit is the kind of value.
	Unit string
	// Bound describes the allowed values.
	Bound string
	// Help is one sentence about the effect of the setting.
	Help string

	// read parses the value into the settings.
	read func(s *Settings, value string) error
}

// SettingsTable is every setting, in the order of the documentation.
func SettingsTable() []Setting {
	return []Setting{
		{
			Key: sinkKey, Unit: "URL", Bound: "`http://` or `https://`; required",
			Help: "URL that events are sent to. A SinkBinding or ContainerSource sets it.", read: readSink,
		},
		{
			Key: overridesKey, Unit: "JSON", Bound: "`{\"extensions\":{\"name\":\"value\"}}`",
			Help: "Extensions of every event, from `ceOverrides` of the same objects.", read: readOverrides,
		},
		{
			Key: caCertsKey, Unit: "PEM", Bound: "certificates",
			Help: "Authorities trusted for an `https://` sink, besides the system's. Knative sets it with transport encryption.",
			read: readCACerts,
		},
		{
			Key: originKey, Unit: "URI reference", Bound: "up to 1024 printable ASCII characters",
			Help: "`source` of the events. Default: `externalURL` of the Alertmanager that sends.", read: readEventSource,
		},
		addressSetting(
			addressKey,
			":8080",
			false,
			"Address of the webhook.",
			func(s *Settings) *string { return &s.Address },
		),
		addressSetting(metricsKey, ":9465", true, "Address of the metrics. `off` or empty turns them off.",
			func(s *Settings) *string { return &s.MetricsAddress }),
		pathSetting(
			tokenKey,
			"File of accepted bearer tokens, one per line. Without it no token is required.",
			func(s *Settings) *string { return &s.TokenFile },
		),
		pathSetting(
			certKey,
			"Certificate of the webhook's server, PEM. Without it the webhook is plain HTTP.",
			func(s *Settings) *string { return &s.CertFile },
		),
		pathSetting(keyKey, "Private key of that certificate, PEM.", func(s *Settings) *string { return &s.KeyFile }),
		numberSetting(
			"CONCURRENCY",
			"16",
			"notifications",
			1,
			256,
			"Maximum number of notifications handled at once; further ones are answered 503. "+
				"Each takes about 2 MiB of memory.",
			func(s *Settings) *int { return &s.Concurrency },
		),
		sizeSetting(
			"MAX_BODY",
			"64",
			1,
			1024,
			"Maximum size of a notification; 10,000 alerts of 4 KiB have 41 MB. Above 1 MiB it uses a file in `TMPDIR`.",
			func(s *Settings) *int64 { return &s.MaxBody },
		),
		durationSetting("SINK_TIMEOUT", "10s", "100ms", "1m", "Timeout for sending one event.",
			func(s *Settings) *time.Duration { return &s.SinkTimeout }),
		durationSetting("REQUEST_TIMEOUT", "20s", "1s", "5m", "Timeout of a whole notification, and of a shutdown.",
			func(s *Settings) *time.Duration { return &s.RequestTimeout }),
		boolSetting(lookupsKey, "false", "Add node, zone and owner to alerts about pods and nodes, from the Kubernetes API.",
			func(s *Settings) *bool { return &s.Lookups }),
		wordSetting("LOG_LEVEL", "info", []string{"debug", "info", "warn", "error"}, "Lowest level that is logged.",
			func(s *Settings) *string { return &s.LogLevel }),
	}
}

func durationSetting(name, byDefault, from, to, help string, field func(*Settings) *time.Duration) Setting {
	least, most := mustDuration(from), mustDuration(to)
	return Setting{
		Key: prefix + name, Default: byDefault, Unit: "duration", Bound: from + " to " + to, Help: help,
		read: func(s *Settings, value string) error {
			d, err := time.ParseDuration(value)
			if err != nil || d < least || d > most {
				return fmt.Errorf("%s is not a duration between %s and %s, for instance %s", shown(value), from, to, byDefault)
			}
			*field(s) = d
			return nil
		},
	}
}

// mustDuration parses a duration of the table; the tests parse all of them.
func mustDuration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

func numberSetting(name, byDefault, unit string, from, to int, help string, field func(*Settings) *int) Setting {
	return Setting{
		Key: prefix + name, Default: byDefault, Unit: unit, Bound: fmt.Sprintf("%d to %d", from, to), Help: help,
		read: func(s *Settings, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < from || n > to {
				return fmt.Errorf("%s is not a whole number between %d and %d, for instance %s", shown(value), from, to, byDefault)
			}
			*field(s) = n
			return nil
		},
	}
}

// sizeSetting is a number of MiB that is kept in bytes.
func sizeSetting(name, byDefault string, from, to int, help string, field func(*Settings) *int64) Setting {
	var size int
	setting := numberSetting(name, byDefault, "MiB", from, to, help, func(*Settings) *int { return &size })
	number := setting.read
	setting.read = func(s *Settings, value string) error {
		err := number(s, value)
		*field(s) = int64(size) << 20
		return err
	}
	return setting
}

func wordSetting(name, byDefault string, words []string, help string, field func(*Settings) *string) Setting {
	last := len(words) - 1
	return Setting{
		Key: prefix + name, Default: byDefault, Unit: "word", Help: help,
		Bound: "`" + strings.Join(words[:last], "`, `") + "` or `" + words[last] + "`",
		read: func(s *Settings, value string) error {
			if !slices.Contains(words, value) {
				return fmt.Errorf("%s is not %s or %s", shown(value), strings.Join(words[:last], ", "), words[last])
			}
			*field(s) = value
			return nil
		},
	}
}

func boolSetting(key, byDefault, help string, field func(*Settings) *bool) Setting {
	return Setting{
		Key: key, Default: byDefault, Unit: "word", Bound: "`true` or `false`", Help: help,
		read: func(s *Settings, value string) error {
			if value != "true" && value != "false" {
				return fmt.Errorf("%s is not true or false", shown(value))
			}
			*field(s) = value == "true"
			return nil
		},
	}
}

// pathSetting is not validated here: reading the file later gives a better error.
func pathSetting(key, help string, field func(*Settings) *string) Setting {
	return Setting{
		Key: key, Unit: "path", Bound: "a file that can be read", Help: help,
		read: func(s *Settings, value string) error {
			*field(s) = value
			return nil
		},
	}
}

func addressSetting(key, byDefault string, off bool, help string, field func(*Settings) *string) Setting {
	setting := Setting{Key: key, Default: byDefault, Unit: "host:port", Bound: "a port up to 65535", Help: help}
	what := "host:port"
	if off {
		setting.Bound += ", or `off`"
		what += " or off"
	}
	setting.read = func(s *Settings, value string) error {
		if off && (value == "" || value == "off") {
			return nil
		}
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("%s is not %s, for instance %s", shown(value), what, byDefault)
		}
		*field(s) = value
		return nil
	}
	return setting
}

// readSink does not repeat a wrong URL, since it may contain a password.
func readSink(s *Settings, value string) error {
	u, err := url.Parse(value)
	switch {
	case value == "":
		return errors.New(
			"it is not set; a SinkBinding sets it, for instance to http://broker-ingress.knative-eventing/stormfold/default",
		)
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New(
			"it is not an http or https URL, for instance http://broker-ingress.knative-eventing/stormfold/default",
		)
	}
	s.Sink = value
	return nil
}

// attributes are the names that CloudEvents reserves, and data, which a structured event has too.
var attributes = []string{
	"specversion", "id", "type", "source", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64",
}

func readOverrides(s *Settings, value string) error {
	if value == "" {
		return nil
	}
	// Knative's own type would pull in all of its API machinery.
	var overrides struct {
		Extensions map[string]string `json:"extensions"`
	}
	if err := json.Unmarshal([]byte(value), &overrides); err != nil {
		return fmt.Errorf(`%s is not JSON like {"extensions":{"name":"value"}}`, shown(value))
	}
	for name, v := range overrides.Extensions {
		switch {
		case !event.IsExtensionNameValid(name) || strings.ToLower(name) != name:
			return fmt.Errorf("%s is not the name of an extension, which has only a-z and 0-9", shown(name))
		case slices.Contains(attributes, name):
			return fmt.Errorf("%s is an attribute of every event, not an extension", name)
		case !headerSafe(v):
			return fmt.Errorf(`the value of %s has to be printable ASCII without " and %%`, name)
		}
	}
	s.Extensions = overrides.Extensions
	return nil
}

func readCACerts(s *Settings, value string) error {
	if value == "" {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return fmt.Errorf("the system's certificates cannot be read: %w", err)
	}
	if !pool.AppendCertsFromPEM([]byte(value)) {
		return errors.New("it contains no PEM certificate")
	}
	s.SinkCAs = pool
	return nil
}

func readEventSource(s *Settings, value string) error {
	if _, err := url.Parse(value); err != nil || len(value) > maxAttribute || !headerSafe(value) {
		return fmt.Errorf("%s is not a URI reference, for instance /clusters/east/alertmanager", shown(value))
	}
	s.EventSource = value
	return nil
}
