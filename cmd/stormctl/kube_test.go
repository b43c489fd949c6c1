package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// TestTreeOfACluster is what tree shows of a real API server, from nothing to an incident and back.
func TestTreeOfACluster(t *testing.T) {
	c := testbed.ControlPlane(t)
	kubeconfig := c.KubeconfigPath
	tree := func(args ...string) outcome {
		t.Helper()
		return call(t, "", append([]string{"tree", "--kubeconfig", kubeconfig}, args...)...)
	}
	prints := func(want string, args ...string) {
		t.Helper()
		got := tree(args...)
		require.Equal(t, exitOK, got.code, got.err)
		require.Empty(t, got.err)
		require.Equal(t, want, got.out)
	}
	require.Regexp(t, `does not serve incidents.stormfold.io: is Stormfold installed there\?\n$`, tree().err)
	c.Apply(t, "../../deploy/crd")
	c.WaitCRD(t, "incidents.stormfold.io")
	prints("No incident is firing in namespace default; -A looks in all.\n")
	prints("No incident is firing in namespace nowhere, which does not exist; -A looks in all.\n", "-n", "nowhere")
	prints("No incident is firing in any namespace.\n", "-A")
	prints("", "-o", "name")
	require.JSONEq(t, `{"apiVersion": "stormfold.io/tree/v1", "incidents": []}`, tree("-o", "json").out)

	client, err := projector.NewClient(c.Config, 10*time.Second, 50, 100)
	require.NoError(t, err)
	resolved := write(t, client, "old", v1alpha1.StateResolved)
	prints("No incident is firing in namespace default (1 incident is over); -A looks in all.\n")
	ctx, stop := context.WithCancel(t.Context())
	watching := &buffer{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, "kubectl-stormfold", []string{"tree", "--kubeconfig", kubeconfig, "-w"},
			streams{out: watching, err: io.Discard, now: time.Now})
	}()
	shows := func(want string) {
		t.Helper()
		testbed.Eventually(t, 30*time.Second, want, func(context.Context) error {
			if !strings.Contains(watching.String(), want) {
				return fmt.Errorf("it shows %q", watching.String())
			}
			return nil
		})
	}
	shows("No incident is firing in namespace default (1 incident is over)")
	firing := write(t, client, "disk-full", v1alpha1.StateFiring)
	shows("\ndisk-full  Alert  Firing  3 of 3 alerts firing\n")
	require.NoError(t, client.Delete(t.Context(), "default", resolved.Name, metav1.Preconditions{}))
	firing.Status.Alerts.Firing = 1
	_, err = client.UpdateStatus(t.Context(), firing)
	require.NoError(t, err)
	shows("\ndisk-full  Alert  Firing  1 of 3 alerts firing\n")
	stop()
	require.Equal(t, exitOK, <-ended)

	prints("incident.stormfold.io/disk-full\n", "-o", "name")
	require.Regexp(t, "^disk-full  Alert", tree().out)
	require.Regexp(t, "^default/disk-full  Alert", tree("-A").out)
	require.Regexp(t, "^default/disk-full  Alert", tree("-o", "wide").out)
	prints("No incident is firing in namespace kube-system; -A looks in all.\n", "-n", "kube-system")
	require.NotContains(t, tree("--as", "nobody").out, "disk-full")
	require.Contains(t, tree("--as", "nobody").err, `User "nobody" cannot list resource "incidents"`)

	kubectlCompletes(t, c)
	outagesOfACluster(t, c, client)
}

// outagesOfACluster shows an outage of a real API server as it does that of a file: alone by its name too, with the
// outages that are part of it.
func outagesOfACluster(t *testing.T, c *testbed.Cluster, client projector.Incidents) {
	t.Helper()
	c.Kubectl(t, "create", "namespace", "stormfold")
	content, err := os.ReadFile(aZone(t))
	require.NoError(t, err)
	all, err := parseIncidents("zone", content)
	require.NoError(t, err)
	for _, i := range all {
		created, err := client.Create(t.Context(), &i)
		require.NoError(t, err)
		created.Status = i.Status
		_, err = client.UpdateStatus(t.Context(), created)
		require.NoError(t, err, i.Name)
	}
	shows := func(file string, args ...string) {
		t.Helper()
		want, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		got := call(t, "", append(args, "--kubeconfig", c.KubeconfigPath, "-n", "stormfold")...)
		require.Equal(t, exitOK, got.code, got.err)
		require.Equal(t, string(want), got.out)
	}
	shows("tree-outage.golden", "tree")
	shows("tree-outage.golden", "tree", "zone-prod-1-a-dxi2qlne2i")
	shows("explain-nested.golden", "explain", "kube-pod-not-ready-rka7426jlc")
	got := call(t, "", "explain", "kube-pod-not-ready-rka7426jlc", "--kubeconfig", c.KubeconfigPath)
	require.Equal(t, "kubectl stormfold: there is no incident kube-pod-not-ready-rka7426jlc in namespace default\n", got.err)
	require.NoError(t, client.Delete(t.Context(), "stormfold", "node-prod-1-worker-1-656cfrfmky", metav1.Preconditions{}))
	got = call(t, "", "tree", "zone-prod-1-a-dxi2qlne2i", "--kubeconfig", c.KubeconfigPath, "-n", "stormfold")
	require.Contains(t, got.out, "│  ├─ ● node-prod-1-worker-1-656cfrfmky  Node/worker-1  warning  2 alerts, probable cause\n"+
		"│  ├─ ● node-prod-1-worker-3", "one whose object is gone is shown as the outage lists it")
}

// kubectlCompletes lets kubectl complete the plugin: it finds the completion by its name in PATH.
func kubectlCompletes(t *testing.T, c *testbed.Cluster) {
	t.Helper()
	kubectl, err := testbed.Binary("kubectl")
	require.NoError(t, err)
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "kubectl-stormfold"), ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.Symlink("kubectl-stormfold", filepath.Join(dir, completer)))
	for typed, want := range map[string][]string{
		"tr":                         {"tree\t"},
		"tree ":                      {"disk-full\tFiring Alert"},
		"tree -n kube-s":             {"kube-system"},
		"explain -o ":                {"json", "yaml"},
		"replay --set workloads.qui": {"workloads.quiet="},
		"check --o":                  {"--output\t"},
	} {
		cmd := exec.Command(kubectl, append([]string{"__complete", "stormfold"}, strings.Split(typed, " ")...)...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "KUBECONFIG="+c.KubeconfigPath)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run(), stderr.String())
		for _, word := range want {
			require.Contains(t, "\n"+stdout.String(), "\n"+word, "%q: %s", typed, stderr.String())
		}
	}
}

// write makes an incident with three alerts.
func write(t *testing.T, client projector.Incidents, name string, state v1alpha1.State) *v1alpha1.Incident {
	t.Helper()
	i := &v1alpha1.Incident{}
	require.NoError(t, json.Unmarshal(fmt.Appendf(nil, `{"metadata": {"name": %q, "namespace": "default"},
		"spec": {"policy": "default", "alertName": "DiskFull"}}`, name), i))
	i, err := client.Create(t.Context(), i)
	require.NoError(t, err)
	i.Status = v1alpha1.IncidentStatus{
		Type:   v1alpha1.TypeAlert,
		State:  state,
		Alerts: v1alpha1.AlertCounts{Total: 3, Firing: 3},
	}
	i, err = client.UpdateStatus(t.Context(), i)
	require.NoError(t, err)
	return i
}

// buffer is what one goroutine writes and another reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A terminal is drawn over, with as many lines as it has.
func TestRedraw(t *testing.T) {
	var out bytes.Buffer
	v := view{streams: streams{out: &out, lines: func() int { return 4 }}}
	require.NoError(t, v.redraw("a\nb\n"))
	require.Equal(t, "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J", out.String())
	out.Reset()
	require.NoError(t, v.redraw("a\nb\nc\nd\ne\n"))
	require.Equal(t, "\x1b[Ha\x1b[K\nb\x1b[K\n(3 more lines)\x1b[K\n\x1b[J", out.String())
}
