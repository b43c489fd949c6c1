package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// TestStormctl sends a storm and two lone alerts to the function, with real servers and by their clocks, and the same
// documents through the replay: both have the same incidents. Then stormctl explains an alert of the storm, and draws
// it.
func TestStormctl(t *testing.T) {
	policies := testbed.OnePolicyFile(t)
	s := newScene(t, startPod(t, "STORMFOLD_POLICIES="+policies))
	stormctl := filepath.Join(t.TempDir(), "kubectl-stormfold")
	build := exec.Command("go", "build", "-o", stormctl, "./cmd/stormctl")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	kubeconfig := cluster.ServiceAccountKubeconfig(t, "stormfold", "stormfold")
	run := func(args ...string) []byte {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command(stormctl, args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		return out
	}

	var recording bytes.Buffer
	send := func(alerts ...map[string]any) {
		t.Helper()
		document, err := json.Marshal(
			map[string]any{"time": time.Now().UTC().Format(time.RFC3339Nano), "data": notification(alerts...)},
		)
		require.NoError(t, err)
		recording.Write(append(document, '\n'))
		s.notify(alerts...)
	}
	type shown struct {
		Policy, AlertName, Type, State string
		Alerts, Resources              int
	}
	var real []shown
	var storm v1alpha1.Incident
	awaitFiring := func(firing int32) {
		t.Helper()
		s.await(func(items []v1alpha1.Incident) error {
			real, storm = nil, v1alpha1.Incident{}
			for _, i := range items {
				if i.Status.Type == v1alpha1.TypeStorm {
					storm = i
				}
				real = append(real, shown{
					i.Spec.Policy, i.Spec.AlertName, string(i.Status.Type), string(i.Status.State), int(i.Status.Alerts.Total),
					int(i.Status.ResourceCount),
				})
			}
			if len(items) != 3 || storm.Status.Alerts.Firing != firing {
				return fmt.Errorf("want three incidents and a storm with %d firing, have %s", firing, summary(items))
			}
			return nil
		})
	}
	send(s.alert("DiskFull", "db-0", "firing"))
	send(s.pods("KubePodCrashLooping", 15, "firing")...)
	send(s.alert("CertificateExpires", "ingress-0", "firing"))
	awaitFiring(15)
	send(s.pods("KubePodCrashLooping", 5, "resolved")...)
	send(s.alert("DiskFull", "db-0", "resolved"))
	awaitFiring(10)
	s.await(func(items []v1alpha1.Incident) error {
		if !slices.ContainsFunc(items, func(i v1alpha1.Incident) bool { return i.Status.State == v1alpha1.StateResolved }) {
			return fmt.Errorf("the lone alert that is over is not: %s", summary(items))
		}
		return nil
	})
	awaitFiring(10)

	file := filepath.Join(t.TempDir(), "recording.jsonl")
	require.NoError(t, os.WriteFile(file, recording.Bytes(), 0o600))
	var replayed struct {
		Runs []struct{ Incidents []shown }
	}
	require.NoError(
		t,
		json.Unmarshal(run("replay", file, "--policies", policies, "--until", "1m", "-o", "json"), &replayed),
	)
	require.ElementsMatch(t, real, replayed.Runs[0].Incidents)

	var explained struct {
		Redis struct {
			State, Storm  string
			Total, Firing int
			Alert         struct{ Incident, Status string }
		}
		Incident struct {
			Name   string
			Firing bool
		}
	}
	look := []string{"--policies", policies, "--redis", redis.URL, "--kubeconfig", kubeconfig, "-n", "stormfold"}
	for pod, status := range map[string]string{"web-2": "resolved", "web-7": "firing"} {
		labels := []string{"alertname=KubePodCrashLooping", "namespace=" + s.namespace, "severity=critical", "pod=" + pod}
		require.NoError(t, json.Unmarshal(run(slices.Concat([]string{"explain", "-o", "json"}, labels, look)...), &explained))
		require.Equal(t, "storm", explained.Redis.State)
		require.Equal(t, []int{15, 10}, []int{explained.Redis.Total, explained.Redis.Firing})
		require.Equal(t, status, explained.Redis.Alert.Status)
		require.Equal(
			t,
			[]string{storm.Name, storm.Name, storm.Name},
			[]string{explained.Redis.Storm, explained.Redis.Alert.Incident, explained.Incident.Name},
		)
		require.Equal(t, status == "firing", explained.Incident.Firing)
	}
	require.Contains(
		t,
		string(run(slices.Concat([]string{"explain", "alertname=Other"}, look)...)),
		"No incident in namespace stormfold shows the alert.",
	)

	for _, args := range [][]string{{}, {storm.Name}} {
		drawn := string(run(slices.Concat([]string{"tree", "--kubeconfig", kubeconfig, "-n", "stormfold"}, args)...))
		require.Contains(t, drawn, storm.Name+"  Storm  Firing  critical\n├─ 10 of 15 alerts firing since ")
		require.Contains(t, drawn, "● web-7\n")
		require.Contains(t, drawn, "○ web-2\n")
		require.Equal(t, len(args) == 0, bytes.Contains([]byte(drawn), []byte("alertname=CertificateExpires")))
	}
	out, err = exec.Command(stormctl, "tree", "no-such", "--kubeconfig", kubeconfig, "-n", "stormfold").CombinedOutput()
	require.Error(t, err)
	require.Equal(t, "kubectl stormfold: there is no incident no-such in namespace stormfold\n", string(out))
}
