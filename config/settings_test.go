package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"knative.dev/pkg/apis"
)

// outside parses as a process outside of Kubernetes does.
func outside(t *testing.T, data map[string]string) (*Settings, error) {
	t.Helper()
	return parse(data, filepath.Join(t.TempDir(), "namespace"))
}

func TestParseDefaults(t *testing.T) {
	s, err := outside(t, map[string]string{"PATH": "/bin", "K_SERVICE": "stormfold"})
	require.NoError(t, err)
	assert.Equal(t, &Settings{
		RedisURL: "redis://127.0.0.1:6379/0", RedisPrefix: "sf", RedisTimeout: 2 * time.Second, RedisBreaker: time.Second,
		Namespace: "stormfold", NamespaceMode: NamespaceFunction,
		KubeTimeout: 5 * time.Second, KubeQPS: 50, KubeBurst: 100,
		PoliciesReload: 10 * time.Second, RequestTimeout: 15 * time.Second, Concurrency: 256, Lease: 20 * time.Second,
		SweepInterval: 15 * time.Second, ResyncInterval: 10 * time.Minute, Projections: 16, MetricsAddress: ":9464",
		LogLevel: "info",
	}, s)

	_, err = Parse(map[string]string{"STORMFOLD_NAMESPACE": "here"})
	require.NoError(t, err)
}

func TestParseEveryBound(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	tests := map[string]struct{ good, bad []string }{
		"REDIS_URL": {
			[]string{"redis://h", "rediss://h:1/2", "unix:///s", " redis://h "},
			[]string{"", "http://h", "h:6379", "redis://h/x", "redis://h?what=1"},
		},
		"REDIS_PREFIX": {
			[]string{"sf", "a", "0", "blue-2", " sf ", strings.Repeat("a", 32)},
			[]string{"", strings.Repeat("a", 33), "Sf", "a:b", "{a}", "a*", "a_b", "a b", "é"},
		},
		"REDIS_TIMEOUT":       {[]string{"50ms", "30s", " 1s "}, []string{"49ms", "30001ms", "", "1", "-1s", "x"}},
		"NAMESPACE":           {[]string{"a", label63, "a-1"}, []string{"", label63 + "a", "A", "a.b", "-a", "a_b"}},
		"NAMESPACE_MODE":      {[]string{"function", "alert"}, []string{"", "Alert", "all"}},
		"KUBE_TIMEOUT":        {[]string{"100ms", "60s", "1m"}, []string{"99ms", "60001ms", ""}},
		"KUBE_QPS":            {[]string{"1", "1000"}, []string{"0", "1001", "", "1.5", "x"}},
		"KUBE_BURST":          {[]string{"1", "2000"}, []string{"0", "2001", ""}},
		"POLICIES":            {[]string{"", "/etc/stormfold/policies.yaml"}, nil},
		"POLICIES_RELOAD":     {[]string{"1s", "1h"}, []string{"999ms", "3600001ms", ""}},
		"REQUEST_TIMEOUT":     {[]string{"1s", "25s"}, []string{"999ms", "25001ms", ""}},
		"CONCURRENCY":         {[]string{"1", "10000"}, []string{"0", "10001", ""}},
		"REDIS_BREAKER":       {[]string{"0s", "1m"}, []string{"-1s", "60001ms", ""}},
		"REDIS_WAIT_REPLICAS": {[]string{"0", "16"}, []string{"-1", "17", ""}},
		"LEASE":               {[]string{"5s", "5m"}, []string{"4999ms", "300001ms", "", "3"}},
		"SWEEP_INTERVAL":      {[]string{"1s", "10m"}, []string{"999ms", "600001ms", ""}},
		"RESYNC_INTERVAL":     {[]string{"1s", "24h"}, []string{"999ms", "86400001ms", ""}},
		"PROJECTIONS":         {[]string{"1", "256"}, []string{"0", "257", ""}},
		"METRICS_ADDRESS": {
			[]string{"", "off", ":0", "127.0.0.1:65535", "[::1]:9464"},
			[]string{"9464", ":65536", ":x", "on"},
		},
		"LOG_LEVEL":  {[]string{"debug", "info", "warn", "error"}, []string{"", "INFO", "trace"}},
		"KUBECONFIG": {[]string{"", "/etc/stormfold/kubeconfig"}, nil},
	}
	for _, setting := range SettingsTable() {
		name := strings.TrimPrefix(setting.Key, prefix)
		test, ok := tests[name]
		if !assert.True(t, ok, "no test for %s", setting.Key) {
			continue
		}
		for _, value := range test.good {
			_, err := outside(t, map[string]string{setting.Key: value})
			assert.NoError(t, err, "%s=%q", setting.Key, value)
		}
		for _, value := range test.bad {
			_, err := outside(t, map[string]string{setting.Key: value})
			if assert.Error(t, err, "%s=%q", setting.Key, value) {
				assert.True(t, strings.HasPrefix(err.Error(), setting.Key+": "), err)
				assert.NotContains(t, err.Error(), "\n")
				var fields *apis.FieldError
				assert.ErrorAs(t, err, &fields)
			}
		}
	}
	assert.Len(t, tests, len(SettingsTable()))
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name string
		data map[string]string
		want string
	}{
		{
			"duration",
			map[string]string{"STORMFOLD_LEASE": "3"},
			`STORMFOLD_LEASE: "3" is not a duration between 5s and 5m, for instance 20s`,
		},
		{
			"number",
			map[string]string{"STORMFOLD_KUBE_QPS": "0"},
			`STORMFOLD_KUBE_QPS: "0" is not a whole number between 1 and 1000, for instance 50`,
		},
		{
			"word",
			map[string]string{"STORMFOLD_LOG_LEVEL": "loud"},
			`STORMFOLD_LOG_LEVEL: "loud" is not debug, info, warn or error`,
		},
		{
			"name",
			map[string]string{"STORMFOLD_NAMESPACE": "My_NS"},
			`STORMFOLD_NAMESPACE: "My_NS" is not a namespace, which has up to 63 of a-z, 0-9 and - and neither begins nor ends with -, for instance stormfold`,
		},
		{
			"prefix",
			map[string]string{"STORMFOLD_REDIS_PREFIX": "sf:"},
			`STORMFOLD_REDIS_PREFIX: "sf:" is not a prefix, which has 1 to 32 of a-z, 0-9 and -, for instance sf`,
		},
		{
			"address",
			map[string]string{"STORMFOLD_METRICS_ADDRESS": "9464"},
			`STORMFOLD_METRICS_ADDRESS: "9464" is not host:port or off, for instance :9464`,
		},
		{
			"unknown and near",
			map[string]string{"STORMFOLD_REDIS_URI": "secret"},
			`STORMFOLD_REDIS_URI: there is no such setting, did you mean STORMFOLD_REDIS_URL?`,
		},
		{
			"unknown and far",
			map[string]string{"STORMFOLD_COFFEE": "secret"},
			`STORMFOLD_COFFEE: there is no such setting, docs/configuration.md lists the settings`,
		},
		{
			"a port that is not a service link",
			map[string]string{"STORMFOLD_REDIS_PORT": "6379"},
			`STORMFOLD_REDIS_PORT: there is no such setting, did you mean STORMFOLD_REDIS_URL?`,
		},
		{
			"two",
			map[string]string{"STORMFOLD_LEASE": "1h", "STORMFOLD_KUBE_BURST": "x"},
			`STORMFOLD_KUBE_BURST: "x" is not a whole number between 1 and 2000, for instance 100; ` +
				`STORMFOLD_LEASE: "1h" is not a duration between 5s and 5m, for instance 20s`,
		},
		{
			"long",
			map[string]string{"STORMFOLD_LOG_LEVEL": strings.Repeat("é", 65)},
			`STORMFOLD_LOG_LEVEL: "` + strings.Repeat("é", 64) + `"... is not debug, info, warn or error`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := outside(t, test.data)
			require.EqualError(t, err, test.want)
		})
	}
}

func TestParseTellsAtMostFiveErrors(t *testing.T) {

	data := map[string]string{
		"STORMFOLD_LEASE": "x", "STORMFOLD_KUBE_QPS": "x", "STORMFOLD_KUBE_BURST": "x", "STORMFOLD_KUBE_TIMEOUT": "x",
		"STORMFOLD_REDIS_TIMEOUT": "x", "STORMFOLD_PROJECTIONS": "x", "STORMFOLD_LOG_LEVEL": "x",
	}
	_, err := outside(t, data)
	require.Error(t, err)
	assert.True(t, strings.HasSuffix(err.Error(), "; and 2 more"), err)
}

func TestParseIgnoresForeignVariables(t *testing.T) {
	_, err := outside(t, map[string]string{
		"STORMFOLD_SERVICE_HOST": "10.0.0.1", "STORMFOLD_SERVICE_PORT": "80", "STORMFOLD_SERVICE_PORT_HTTP": "80",
		"STORMFOLD_PORT": "tcp://10.0.0.1:80", "STORMFOLD_PORT_80_TCP": "tcp://10.0.0.1:80",
		"STORMFOLD_PORT_80_TCP_PROTO": "tcp",
		"STORMFOLD_PORT_80_TCP_PORT":  "80", "STORMFOLD_PORT_80_TCP_ADDR": "10.0.0.1",
		"STORMFOLD_REDIS_SERVICE_HOST": "10.0.0.2", "STORMFOLD_REDIS_PORT": "tcp://10.0.0.2:6379",
		"STORMFOLD_TESTBED": "/tmp/testbed", "STORMFOLD_TESTBED_REDIS": "/usr/bin/valkey-server",
	})
	require.NoError(t, err)
}

func TestNamespaceOfThePod(t *testing.T) {
	path := filepath.Join(t.TempDir(), "namespace")
	require.NoError(t, os.WriteFile(path, []byte("monitoring\n"), 0o600))

	s, err := parse(nil, path)
	require.NoError(t, err)
	assert.Equal(t, "monitoring", s.Namespace)

	s, err = parse(map[string]string{"STORMFOLD_NAMESPACE": "told"}, path)
	require.NoError(t, err)
	assert.Equal(t, "told", s.Namespace)

	// A directory instead of the file cannot be read.
	_, err = parse(nil, filepath.Dir(path))
	require.ErrorContains(t, err, "STORMFOLD_NAMESPACE: is not set and")
	_, err = parse(map[string]string{"STORMFOLD_NAMESPACE": "told"}, filepath.Dir(path))
	require.NoError(t, err)
}

func TestMetricsOff(t *testing.T) {
	for _, value := range []string{"off", ""} {
		s, err := outside(t, map[string]string{"STORMFOLD_METRICS_ADDRESS": value})
		require.NoError(t, err)
		assert.Empty(t, s.MetricsAddress)
	}
}
