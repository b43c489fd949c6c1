package source

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/meter"
)

func TestDefaults(t *testing.T) {
	s, err := Parse(map[string]string{sinkKey: "http://broker/stormfold/default"})
	require.NoError(t, err)
	assert.Equal(t, &Settings{
		Sink: "http://broker/stormfold/default", Address: ":8080", MetricsAddress: ":9465", Concurrency: 16,
		MaxBody:     64 << 20,
		SinkTimeout: 10 * time.Second, RequestTimeout: 20 * time.Second, LogLevel: "info",
	}, s)
}

func TestParse(t *testing.T) {
	s, err := Parse(map[string]string{
		sinkKey: "https://broker", overridesKey: `{"extensions":{"cluster":"east"},"later":1}`,
		caCertsKey: newAuthority(t).pem,
		originKey:  "/clusters/east", addressKey: " 127.0.0.1:1 ", metricsKey: "off", tokenKey: "/t", certKey: "/c",
		keyKey:                 "/k",
		prefix + "CONCURRENCY": "256", prefix + "MAX_BODY": "1", prefix + "SINK_TIMEOUT": "100ms", prefix +
			"REQUEST_TIMEOUT": "5m", prefix + "LOG_LEVEL": "debug",
		"STORMFOLD_SOURCE_SERVICE_HOST": "10.0.0.1", "STORMFOLD_SOURCE_PORT": "tcp://10.0.0.1:80",
		"STORMFOLD_SOURCE_PORT_80_TCP_ADDR": "10.0.0.1",
		"STORMFOLD_REDIS_URL":               "of another program",
	})
	require.NoError(t, err)
	assert.NotNil(t, s.SinkCAs)
	s.SinkCAs = nil
	assert.Equal(t, &Settings{
		Sink: "https://broker", Extensions: map[string]string{"cluster": "east"}, EventSource: "/clusters/east",
		Address:   "127.0.0.1:1",
		TokenFile: "/t", CertFile: "/c", KeyFile: "/k", Concurrency: 256, MaxBody: 1 << 20,
		SinkTimeout:    100 * time.Millisecond,
		RequestTimeout: 5 * time.Minute, LogLevel: "debug",
	}, s)
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ key, value, says string }{
		{sinkKey, "", "K_SINK: it is not set"},
		{sinkKey, "broker", "K_SINK: it is not an http or https URL, for instance http://"},
		{sinkKey, "ftp://broker", "K_SINK: it is not an http or https URL"},
		{sinkKey, "http://u:secret@bro ker", "K_SINK: it is not an http or https URL"},
		{overridesKey, "x", `K_CE_OVERRIDES: "x" is not JSON like {"extensions":{"name":"value"}}`},
		{overridesKey, `{"extensions":{"a":1}}`, "K_CE_OVERRIDES: "},
		{overridesKey, `{"extensions":{"my-name":"x"}}`, `K_CE_OVERRIDES: "my-name" is not the name of an extension`},
		{overridesKey, `{"extensions":{"Name":"x"}}`, `K_CE_OVERRIDES: "Name" is not the name of an extension`},
		{overridesKey, `{"extensions":{"time":"x"}}`, "K_CE_OVERRIDES: time is an attribute of every event"},
		{overridesKey, `{"extensions":{"a":"x\ny"}}`, "K_CE_OVERRIDES: the value of a has to be printable ASCII"},
		{caCertsKey, "x", "K_CA_CERTS: it contains no PEM certificate"},
		{originKey, "a b\x00", `STORMFOLD_SOURCE_EVENT_SOURCE: "a b\x00" is not a URI reference`},
		{addressKey, "8080", `STORMFOLD_SOURCE_ADDRESS: "8080" is not host:port, for instance :8080`},
		{addressKey, "off", `STORMFOLD_SOURCE_ADDRESS: "off" is not host:port`},
		{addressKey, "", `STORMFOLD_SOURCE_ADDRESS: "" is not host:port`},
		{metricsKey, ":65536", `STORMFOLD_SOURCE_METRICS_ADDRESS: ":65536" is not host:port or off, for instance :9465`},
		{prefix + "CONCURRENCY", "0", `STORMFOLD_SOURCE_CONCURRENCY: "0" is not a whole number between 1 and 256, for instance 16`},
		{prefix + "CONCURRENCY", "257", "STORMFOLD_SOURCE_CONCURRENCY: "},
		{prefix + "MAX_BODY", "64MiB", `STORMFOLD_SOURCE_MAX_BODY: "64MiB" is not a whole number between 1 and 1024, for instance 64`},
		{prefix + "CONCURRENCY", "many", "STORMFOLD_SOURCE_CONCURRENCY: "},
		{prefix + "SINK_TIMEOUT", "61s",
			`STORMFOLD_SOURCE_SINK_TIMEOUT: "61s" is not a duration between 100ms and 1m, for instance 10s`},
		{prefix + "SINK_TIMEOUT", "10", "STORMFOLD_SOURCE_SINK_TIMEOUT: "},
		{prefix + "REQUEST_TIMEOUT", "-1s",
			`STORMFOLD_SOURCE_REQUEST_TIMEOUT: "-1s" is not a duration between 1s and 5m, for instance 20s`},
		{prefix + "LOG_LEVEL", "loud", `STORMFOLD_SOURCE_LOG_LEVEL: "loud" is not debug, info, warn or error`},
		{certKey, "/c", "STORMFOLD_SOURCE_TLS_CERT_FILE, STORMFOLD_SOURCE_TLS_KEY_FILE: there is only one of them, set both or none"},
		{prefix + "TOKEN", "secret", "STORMFOLD_SOURCE_TOKEN: there is no such setting"},
		{prefix + "PORT", "8080", "STORMFOLD_SOURCE_PORT: there is no such setting"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			environ := map[string]string{sinkKey: "http://broker"}
			environ[c.key] = c.value
			_, err := Parse(environ)
			require.ErrorContains(t, err, c.says)
			assertOneSentence(t, err.Error())
			assert.NotContains(t, err.Error(), "secret")
		})
	}
	_, err := Parse(map[string]string{prefix + "CONCURRENCY": "0"})
	assert.ErrorContains(t, err, "K_SINK: ")
	assert.ErrorContains(t, err, "; STORMFOLD_SOURCE_CONCURRENCY: ", "all that is wrong at once")
}

func TestEnviron(t *testing.T) {
	assert.Equal(t, map[string]string{"A": "1=2", "B": "", "C": ""}, Environ([]string{"A=1=2", "B=", "C"}))
}

var update = flag.Bool("update", false, "rewrite the generated tables of docs/source.md")

const docs = "../../docs/source.md"

func TestDocumentationHoldsTheTables(t *testing.T) {
	content, err := os.ReadFile(docs)
	require.NoError(t, err)
	want := replaceTable(t, string(content), "settings", settingsMarkdown())
	want = replaceTable(t, want, "answers", answersMarkdown())
	want = replaceTable(t, want, "metrics", meter.Markdown(newMetrics().set.Definitions()))
	if *update {
		require.NoError(t, os.WriteFile(docs, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(content), "go test ./internal/source -update rewrites the tables")
}

func settingsMarkdown() string {
	rows := "| setting | default | value | effect |\n|---|---|---|---|\n"
	for _, s := range SettingsTable() {
		byDefault := "none"
		if s.Default != "" {
			byDefault = "`" + s.Default + "`"
		}
		rows += "| `" + s.Key + "` | " + strings.Join([]string{byDefault, s.Unit + ", " + s.Bound, s.Help}, " | ") + " |\n"
	}
	return rows
}

func answersMarkdown() string {
	rows := "| answer | reason | when |\n|---|---|---|\n"
	for _, a := range answers {
		rows += fmt.Sprintf("| %d | `%s` | %s |\n", a.status, a.reason, a.help)
	}
	return rows
}

func replaceTable(t *testing.T, text, name, table string) string {
	t.Helper()
	begin := "<!-- " + name + ": generated by go test ./internal/source -update -->\n"
	before, rest, found := strings.Cut(text, begin)
	require.True(t, found, "the marker of %s is missing", name)
	_, after, found := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, found, "the end of %s is missing", name)
	return before + begin + table + "<!-- end -->\n" + after
}
