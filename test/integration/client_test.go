package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// scene keeps the alerts of one test apart from those of the others: by a namespace label of its own.
type scene struct {
	t         testing.TB
	pod       *pod
	namespace string
}

var scenes atomic.Int64

func newScene(t testing.TB, p *pod) *scene {
	return &scene{t: t, pod: p, namespace: fmt.Sprintf("shop-%d", scenes.Add(1))}
}

// alert is one about a pod, in the shape of Alertmanager's webhook.
func (s *scene) alert(name, pod, status string, labels ...string) map[string]any {
	all := map[string]string{"alertname": name, "namespace": s.namespace, "pod": pod, "severity": "critical"}
	for i := 0; i+1 < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	set := model.LabelSet{}
	for k, v := range all {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	a := map[string]any{
		"status": status, "labels": all, "fingerprint": set.Fingerprint().String(),
		"annotations": map[string]string{"summary": "pod " + pod + " is in trouble"},
		"startsAt":    time.Now().UTC().Add(-time.Minute).Format(time.RFC3339Nano), "endsAt": "0001-01-01T00:00:00Z",
	}
	if status == "resolved" {
		a["endsAt"] = time.Now().UTC().Format(time.RFC3339Nano)
	}
	return a
}

// pods are alerts of one name about that many pods.
func (s *scene) pods(name string, n int, status string) []map[string]any {
	var out []map[string]any
	for i := range n {
		out = append(out, s.alert(name, fmt.Sprintf("web-%d", i), status))
	}
	return out
}

// again are alerts that resolved and now begin to fire again: in a later millisecond, the unit in which times are
// compared.
func again(alerts ...map[string]any) []map[string]any {
	time.Sleep(2 * time.Millisecond)
	for _, a := range alerts {
		a["startsAt"] = time.Now().UTC().Format(time.RFC3339Nano)
	}
	return alerts
}

// notification is a webhook of Alertmanager with these alerts.
func notification(alerts ...map[string]any) map[string]any {
	return map[string]any{"version": "4", "groupKey": "{}", "status": "firing", "receiver": "stormfold", "alerts": alerts}
}

// answer is what the function said.
type answer struct {
	code  int
	body  string
	reply string // The type of the event it replied with.
	data  map[string]any
}

// post sends an event in binary mode.
func (s *scene) post(eventType string, data any) answer {
	s.t.Helper()
	body, err := json.Marshal(data)
	require.NoError(s.t, err)
	return s.postRaw(map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": eventType, "Ce-Source": "/test",
		"Ce-Id": uuid.NewString(), "Ce-Time": time.Now().UTC().Format(time.RFC3339Nano),
	}, body)
}

func (s *scene) postRaw(header map[string]string, body []byte) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.pod.url, bytes.NewReader(body))
	require.NoError(s.t, err)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	a := answer{code: response.StatusCode, body: strings.TrimSpace(string(text)), reply: response.Header.Get("Ce-Type")}
	if a.reply != "" {
		require.NoError(s.t, json.Unmarshal(text, &a.data))
	}
	return a
}

// notify sends one notification and expects it to be taken.
func (s *scene) notify(alerts ...map[string]any) answer {
	s.t.Helper()
	a := s.post("io.prometheus.alertmanager.notification.v1", notification(alerts...))
	require.Equal(s.t, 2, a.code/100, "%d %s", a.code, a.body)
	return a
}

// atOnce sends each alert as an event of its own, all at the same time, and returns the answers' codes.
func (s *scene) atOnce(alerts ...map[string]any) []int {
	codes := make([]int, len(alerts))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, a := range alerts {
		all.Go(func() {
			<-start
			codes[i] = s.post("io.prometheus.alertmanager.alert.v1", a).code
		})
	}
	close(start)
	all.Wait()
	return codes
}

// list are the incidents of this scene.
func (s *scene) list() []v1alpha1.Incident {
	s.t.Helper()
	items, err := s.tryList()
	require.NoError(s.t, err)
	return items
}

func (s *scene) tryList() ([]v1alpha1.Incident, error) {
	list, err := incidents.List(s.t.Context(), "stormfold", metav1.ListOptions{
		LabelSelector: v1alpha1.LabelAlertNamespace + "=" + s.namespace,
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// await waits until the scene's incidents are as check says, and returns them.
func (s *scene) await(check func([]v1alpha1.Incident) error) []v1alpha1.Incident {
	s.t.Helper()
	var items []v1alpha1.Incident
	// An API server that is slow to answer the test itself is waited for like everything else.
	eventually(s.t, 60*time.Second, func() (err error) {
		if items, err = s.tryList(); err != nil {
			return err
		}
		return check(items)
	})
	return items
}

// awaitOne waits for one incident with these counts: total, firing, resolved.
func (s *scene) awaitOne(total, firing, resolved int32) v1alpha1.Incident {
	s.t.Helper()
	want := v1alpha1.AlertCounts{Total: total, Firing: firing, Resolved: resolved}
	return s.await(func(items []v1alpha1.Incident) error {
		if len(items) != 1 || items[0].Status.Alerts != want {
			return fmt.Errorf("want one incident with %+v, have %s", want, summary(items))
		}
		return nil
	})[0]
}

func summary(items []v1alpha1.Incident) string {
	out := fmt.Sprintf("%d:", len(items))
	for _, i := range items {
		out += fmt.Sprintf(" [%s %s %s %+v]", i.Name, i.Status.Type, i.Status.State, i.Status.Alerts)
	}
	return out
}
