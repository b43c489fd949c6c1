package tracing

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// environment are OpenTelemetry's variables for the export of spans. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
// OTEL_BSP_* and OTEL_SPAN_* are read by the SDK.
type environment struct {
	endpoint string
	headers  http.Header
	timeout  time.Duration
	gzip     bool
	tls      *tls.Config
	sampler  sdktrace.Sampler
}

// protocol is the only one supported. gRPC would make the program larger by more than half.
const protocol = "http/protobuf"

// fromEnvironment is nil if traces are off. An empty variable counts as unset, as in the specification. An invalid one
// stops the start, like any other setting; the specification would ignore it.
func fromEnvironment() (*environment, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not otlp or none", cut(exporter))
	}
	e := &environment{}
	var errs []error
	read := func(name string, take func(value string) error) {
		key, value := lookup(name)
		if value == "" {
			return
		}
		if err := take(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	read("ENDPOINT", e.readEndpoint)
	if e.endpoint == "" && errs == nil {
		return nil, nil
	}
	read("PROTOCOL", func(value string) error {
		if value != protocol {
			return fmt.Errorf("%q is not supported; use %s, which collectors accept on port 4318", cut(value), protocol)
		}
		return nil
	})
	e.timeout = 10 * time.Second
	read("TIMEOUT", func(value string) error {
		ms, err := strconv.Atoi(value)
		if err != nil || ms < 1 || ms > int(time.Hour/time.Millisecond) {
			return fmt.Errorf("%q is not a number of milliseconds from 1 to 3600000, for instance 10000", cut(value))
		}
		e.timeout = time.Duration(ms) * time.Millisecond
		return nil
	})
	read("COMPRESSION", func(value string) error {
		if value != "gzip" && value != "none" {
			return fmt.Errorf("%q is not gzip or none", cut(value))
		}
		e.gzip = value == "gzip"
		return nil
	})
	read("HEADERS", e.readHeaders)
	e.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	read("CERTIFICATE", e.readAuthorities)
	e.readClientCertificate(read)
	if sampler, err := samplerOf(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		errs = append(errs, err)
	} else {
		e.sampler = sampler
	}
	return e, errors.Join(errs...)
}

// lookup is the variable for traces, or the one for all signals, and its value.
func lookup(name string) (key, value string) {
	own := "OTEL_EXPORTER_OTLP_TRACES_" + name
	if value := os.Getenv(own); value != "" {
		return own, value
	}
	all := "OTEL_EXPORTER_OTLP_" + name
	return all, os.Getenv(all)
}

// readEndpoint does not repeat a wrong URL, since it may contain a password.
func (e *environment) readEndpoint(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("it is not an http or https URL, for instance http://collector.observability:4318")
	}
	if os.Getenv(
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
	) == "" { // The one for all signals is a base; the one for traces is used unchanged.
		u = u.JoinPath("v1", "traces")
	}
	e.endpoint = u.String()
	return nil
}

// readHeaders takes pairs like authorization=Bearer%20x, joined by commas. It does not repeat them.
func (e *environment) readHeaders(value string) error {
	e.headers = http.Header{}
	for _, pair := range strings.Split(value, ",") {
		name, text, found := strings.Cut(pair, "=")
		text, err := url.PathUnescape(strings.TrimSpace(text))
		if name = strings.TrimSpace(name); !found || name == "" || strings.ContainsAny(name, " :\r\n\t") ||
			strings.ContainsAny(text, "\r\n") ||
			err != nil {
			return errors.New("it is not a list like name=value,other=value, with percent-encoded values")
		}
		e.headers.Set(name, text)
	}
	return nil
}

func (e *environment) readAuthorities(path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	e.tls.RootCAs = x509.NewCertPool()
	if !e.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("there is no PEM certificate in %s", path)
	}
	return nil
}

func (e *environment) readClientCertificate(read func(string, func(string) error)) {
	_, key := lookup("CLIENT_KEY")
	read("CLIENT_CERTIFICATE", func(path string) error {
		pair, err := tls.LoadX509KeyPair(path, key)
		if err != nil {
			return fmt.Errorf("it does not match OTEL_EXPORTER_OTLP_CLIENT_KEY: %w", err)
		}
		e.tls.Certificates = []tls.Certificate{pair}
		return nil
	})
}

// samplerOf reads what the SDK would read too, but the SDK would only log an error.
func samplerOf(name, arg string) (sdktrace.Sampler, error) {
	name = cmp.Or(name, "parentbased_always_on")
	rest, parent := strings.CutPrefix(name, "parentbased_")
	var sampler sdktrace.Sampler
	switch rest {
	case "always_on":
		sampler = sdktrace.AlwaysSample()
	case "always_off":
		sampler = sdktrace.NeverSample()
	case "traceidratio":
		ratio, err := strconv.ParseFloat(cmp.Or(arg, "1"), 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is not a number from 0 to 1, for instance 0.1", cut(arg))
		}
		sampler = sdktrace.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf(
			"OTEL_TRACES_SAMPLER: %q is not always_on, always_off or traceidratio, with or without parentbased_ before it",
			cut(name),
		)
	}
	if parent {
		sampler = sdktrace.ParentBased(sampler)
	}
	return sampler, nil
}

// cut shortens a wrong value for an error.
func cut(value string) string { return value[:min(len(value), 64)] }
