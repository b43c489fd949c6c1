package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stormfold-dev-")
	if err == nil {
		binary = filepath.Join(dir, "dev")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("building cmd/dev: %w\n%s", err, out)
		}
	}
	status := 1
	if err == nil {
		status = m.Run()
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// bed is a dev run on free ports.
type bed struct {
	webhook, api string
	env          []string
	run          *testbed.Process
}

// startRun starts dev run, with a KUBECONFIG that it must not use.
func startRun(t *testing.T) *bed {
	t.Helper()
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)) }
	b := &bed{webhook: address(), api: address()}
	b.env = []string{
		listenVariable + "=" + address(), webhookVariable + "=" + b.webhook, apiVariable + "=" + b.api,
		metricsVariable + "=" + address(), "KUBECONFIG=/nowhere/kubeconfig",
	}
	t.Setenv(redisVariable, "") // So that it comes back after the test.
	require.NoError(t, os.Unsetenv(redisVariable))
	b.run = testbed.Start(t, "dev-run", b.env, binary, "run")
	b.shows(t, `Stormfold is ready .*Redis: embedded, Kubernetes: embedded`)
	return b
}

// shows awaits a line of dev run, and returns what the pattern's group matched.
func (b *bed) shows(t *testing.T, pattern string) (group string) {
	t.Helper()
	require.Eventually(t, func() bool {
		log, err := b.run.Log()
		match := regexp.MustCompile(pattern).FindStringSubmatch(log)
		if len(match) > 1 {
			group = match[1]
		}
		return err == nil && match != nil
	}, 30*time.Second, 20*time.Millisecond, pattern)
	return group
}

// storm runs dev storm and returns what it says.
func (b *bed) storm(t *testing.T) string {
	t.Helper()
	storm := exec.Command(binary, "storm")
	storm.Env = append(os.Environ(), b.env...)
	out, err := storm.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "tree --server http://"+b.api+" -n stormfold\n")
	return string(out)
}

// TestTryIt does what README's first commands do, and points a real Alertmanager at what they start.
func TestTryIt(t *testing.T) {
	b := startRun(t)
	require.Regexp(t, `(?s)Sent 15 firing alerts in \d+ ms.*\n  make storm  # resolves them\n`, b.storm(t))
	name := b.shows(t, `\n(kube-pod-crash-looping-\w+) +Storm +Firing +critical +15 +15 +\d+s +Deployment/shop/checkout\n`)
	// Under the table stands the picture, with the sentence, what most alerts have in common, and the runbook.
	b.shows(t, name+`  Storm  Firing  critical\n`+
		`├─ 15 of 15 alerts firing since \d\d:\d\d UTC on \w+ \d+, all Deployment/checkout in shop, 10 critical\n`+
		`(?s:.*)├─ https://runbooks.example.com/KubePodCrashLooping\n(?s:.*)├─ node=worker-3 .* 60 %  9 alerts\n`+
		`(?s:.*)● checkout-7d9f8b6c5d-2bxkq\n(?s:.*)and 10 more\n`)

	require.Contains(t, b.storm(t), "make run shows that "+name+" is Resolved.\n")
	b.shows(t, name+` +Storm +Resolved +critical +0 +15 +\d+s +Deployment/shop/checkout\n`)
	require.Contains(t, b.storm(t), "make run shows that "+name+" is reopened.\n")
	b.shows(t, name+` +Storm +Firing +critical +15 +15 (?s:.*)15 of 15 alerts firing.*, 10 critical, reopened once\n`)

	am := testbed.Alertmanager(t, fmt.Sprintf(`
route: {receiver: stormfold, group_by: [alertname], group_wait: 100ms, group_interval: 1s}
receivers:
- name: stormfold
  webhook_configs: [{url: "http://%s", send_resolved: true}]
`, b.webhook))
	body, err := json.Marshal([]map[string]any{{"labels": map[string]string{"alertname": "DiskFull", "instance": "db-0"}}})
	require.NoError(t, err)
	response, err := http.Post(am.URL+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	b.shows(t, `disk-full-\w+ +Alert +Firing +- +1 +1 +\d+s +Instance/db-0\n`)
}

// TestOutage: a node that goes down is one outage, with the node as its cause.
func TestOutage(t *testing.T) {
	b := startRun(t)
	outage := func() string {
		cmd := exec.Command(binary, "outage")
		cmd.Env = append(os.Environ(), b.env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	require.Regexp(t, `(?s)Sent 10 firing alerts in \d+ ms.*\n  make outage  # resolves them\n`, outage())
	name := b.shows(t, `\n(node-demo-worker-7-\w+) +Outage +Firing +warning +10 +10 +\d+s +Node/worker-7\n`)
	b.shows(t, `├─ 10 of 10 incidents firing since .*, probably Node/worker-7, 10 alerts in 8 namespaces, warning\n`+
		`(?s:.*)├─ 10 incidents, confidence high\n│  ├─ ● kube-node-not-ready-\w+  Node/worker-7  warning  1 alert, probable cause\n`)
	require.Contains(t, outage(), "make run shows that the Outage is Resolved.\n")
	b.shows(t, name+` +Outage +Resolved +warning +0 +10 +\d+s +Node/worker-7\n`)
}

// TestInterrupt: Ctrl-C is how dev run ends, and no error.
func TestInterrupt(t *testing.T) {
	b := startRun(t)
	require.NoError(t, b.run.Signal(syscall.SIGINT))
	b.shows(t, `\nstopping\n`)
	require.NoError(t, b.run.Wait())
}

// TestAPI reads what dev run shows as kubectl stormfold does.
func TestAPI(t *testing.T) {
	b := startRun(t)
	b.storm(t)
	name := b.shows(t, `\n(kube-pod-crash-looping-\w+) +Storm +Firing +critical +15 `)
	incidents, err := settings{api: b.api}.incidents()
	require.NoError(t, err)
	for selector, want := range map[string]int{
		"": 1, "status.state=Firing,status.subject.name=checkout": 1, "status.state=Resolved": 0, "metadata.name=" + name: 1,
	} {
		list, err := incidents.List(t.Context(), "", metav1.ListOptions{FieldSelector: selector})
		require.NoError(t, err)
		require.Len(t, list.Items, want, selector)
	}
	one, err := incidents.Get(t.Context(), "stormfold", name)
	require.NoError(t, err)
	require.EqualValues(t, 15, one.Status.Alerts.Firing)
	_, err = incidents.Get(t.Context(), "stormfold", "another")
	require.EqualError(t, err, `incidents.stormfold.io "another" not found`)

	// A watch tells what has changed since a list.
	response, err := http.Get("http://" + b.api +
		"/apis/stormfold.io/v1alpha1/namespaces/stormfold/incidents?watch=true&resourceVersion=1")
	require.NoError(t, err)
	defer response.Body.Close()
	changes := json.NewDecoder(response.Body)
	next := func() (e watchEvent) {
		require.NoError(t, changes.Decode(&e))
		return e
	}
	first := next()
	require.Equal(t, []any{"MODIFIED", name, "Incident"}, []any{first.Type, first.Object.Name, first.Object.Kind})
	b.storm(t)
	for e := first; e.Object.Status.State != v1alpha1.StateResolved; e = next() {
		require.Equal(t, name, e.Object.Name)
	}
}

func TestStormWithoutAFunction(t *testing.T) {
	t.Setenv(listenVariable, fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)))
	t.Setenv(apiVariable, fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)))
	require.ErrorContains(t, storm(t.Context()), "start make run in another terminal")
}

func TestAddresses(t *testing.T) {
	for value, want := range map[string]string{
		"localhost":       `LISTEN_ADDRESS: "localhost" is malformed`,
		"127.0.0.1:http":  `LISTEN_ADDRESS: "127.0.0.1:http" is malformed`,
		"127.0.0.1:70000": `LISTEN_ADDRESS: "127.0.0.1:70000" is malformed`,
	} {
		want += ": it must be host:port, for instance 127.0.0.1:8080"
		t.Setenv(listenVariable, value)
		_, err := readSettings()
		require.EqualError(t, err, want)
		require.EqualError(t, run(t.Context()), want)
	}
	taken := testbed.Port(t)
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", taken)}
	go func() { _ = server.ListenAndServe() }()
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	require.Eventually(t, func() bool {
		err := free(webhookVariable, server.Addr)
		return err != nil && strings.HasSuffix(err.Error(), "is in use; set DEV_WEBHOOK_ADDRESS to another address")
	}, 10*time.Second, 10*time.Millisecond)
}
