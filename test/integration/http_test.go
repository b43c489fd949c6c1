package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

const (
	typeNotification = "io.prometheus.alertmanager.notification.v1"
	typeAlert        = "io.prometheus.alertmanager.alert.v1"
)

// ceHeader is a binary-mode event's header; pairs of name and value change it, an empty value removes.
func ceHeader(eventType string, pairs ...string) map[string]string {
	header := map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": eventType, "Ce-Source": "/test",
		"Ce-Id": uuid.NewString(), "Ce-Time": time.Now().UTC().Format(time.RFC3339Nano),
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(header, pairs[i])
			continue
		}
		header[pairs[i]] = pairs[i+1]
	}
	return header
}

// exchange is a whole HTTP exchange with a pod, for tests that look at headers.
func exchange(t testing.TB, method, url string, header map[string]string, body []byte) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, strings.TrimSpace(string(text))
}

// TestRefusals: what no retry can help is answered with 400 and one sentence, and leaves nothing behind.
func TestRefusals(t *testing.T) {
	s := newScene(t, startPod(t))
	good, err := json.Marshal(s.alert("Refused", "web-0", "firing"))
	require.NoError(t, err)
	// edited is a notification of one alert that is spoiled.
	edited := func(key string, value any) []byte {
		bad := maps.Clone(s.alert("Refused", "web-1", "firing"))
		if bad[key] = value; value == nil {
			delete(bad, key)
		}
		out, err := json.Marshal(notification(bad))
		require.NoError(t, err)
		return out
	}
	structured := func(event string) []byte { return []byte(event) }
	ceJSON := map[string]string{"Content-Type": "application/cloudevents+json"}

	for _, c := range []struct {
		name   string
		header map[string]string
		body   []byte
		code   int
		says   string
	}{
		{"unknown type", ceHeader("com.example.other"), good, 400, `type: "com.example.other"`},
		{"our own reply", ceHeader("io.stormfold.incident.opened.v1"), good, 400, "type: "},
		{"no JSON", ceHeader(typeAlert), []byte("it burns"), 400, "data: it is not JSON"},
		{"half a document", ceHeader(typeAlert), good[:len(good)/2], 400, "data: it is not JSON"},
		{"empty body", ceHeader(typeAlert), nil, 400, "data: it is empty"},
		{"a list", ceHeader(typeAlert), []byte(`[]`), 400, "data: "},
		{"invalid UTF-8", ceHeader(typeAlert), bytes.Replace(good, []byte("web-0"), []byte("web-\xff"), 1), 400,
			"data: it is not valid UTF-8"},
		{"XML", ceHeader(typeAlert, "Content-Type", "application/xml"), good, 400, "datacontenttype: "},
		{"no ce-id", ceHeader(typeAlert, "Ce-Id", ""), good, 400, "id: "},
		{"no ce-source", ceHeader(typeAlert, "Ce-Source", ""), good, 400, "source: "},
		{"no ce-type", ceHeader(typeAlert, "Ce-Type", ""), good, 400, "type: "},
		{"no ce-specversion", ceHeader(typeAlert, "Ce-Specversion", ""), good, 400, "not a CloudEvent"},
		{"a specversion of the future", ceHeader(typeAlert, "Ce-Specversion", "9.0"), good, 400, "CloudEvent"},
		{"ce-time no time", ceHeader(typeAlert, "Ce-Time", "yesterday"), good, 400, "time"},
		{"ce-time 11 minutes ahead", ceHeader(typeAlert, "Ce-Time",
			time.Now().Add(11*time.Minute).UTC().Format(time.RFC3339)), good, 400, "time: "},
		{"a plain webhook", map[string]string{"Content-Type": "application/json"}, good, 400, "not a CloudEvent"},
		{"structured, no JSON", ceJSON, structured(`nothing`), 400, "CloudEvent"},
		{"structured, no id", ceJSON, structured(`{"specversion":"1.0","type":"` + typeAlert +
			`","source":"/test","data":{}}`), 400, "id: "},
		{"body over 4 MiB", ceHeader(typeAlert), bytes.Repeat([]byte(" "), 4<<20+1), 413, "larger than 4194304 bytes"},
		{"no alerts", ceHeader(typeNotification), []byte(`{"version":"4","alerts":[]}`), 400, "alerts: "},
		{"no labels", ceHeader(typeNotification), edited("labels", nil), 400, "alerts[0].labels: "},
		{"labels no object", ceHeader(typeNotification), edited("labels", []string{"a"}), 400, "alerts[0].labels: "},
		{"startsAt no time", ceHeader(typeNotification), edited("startsAt", "yesterday"), 400,
			`alerts[0].startsAt: "yesterday"`},
		{"another status", ceHeader(typeNotification), edited("status", "pending"), 400, `alerts[0].status: "pending"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body := exchange(t, http.MethodPost, s.pod.url, c.header, c.body)
			require.Equal(t, c.code, response.StatusCode, body)
			require.Contains(t, body, c.says)
			require.NotContains(t, body, "\n", "one sentence")
		})
	}
	t.Run("GET", func(t *testing.T) {
		response, _ := exchange(t, http.MethodGet, s.pod.url, nil, nil)
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	})

	// A good alert beside a bad one is taken.
	s.notify(s.alert("Taken", "web-0", "firing"), map[string]any{"status": "pending"})
	require.Equal(t, "Taken", s.awaitOne(1, 1, 0).Spec.AlertName)
	log, err := s.pod.Log()
	require.NoError(t, err)
	require.Contains(t, log, "event refused permanently")
}

// TestReplies: each transition is told to whoever called, as an event.
func TestReplies(t *testing.T) {
	s := newScene(t, startPod(t))
	var told []string
	post := func(data any) (*http.Response, map[string]any) {
		body, err := json.Marshal(data)
		require.NoError(t, err)
		response, text := exchange(
			t,
			http.MethodPost,
			s.pod.url,
			ceHeader(typeNotification, "Ce-Traceparent", traceparent),
			body,
		)
		require.Equal(t, 2, response.StatusCode/100, text)
		if response.Header.Get("Ce-Type") == "" {
			require.Empty(t, text)
			return response, nil
		}
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "1.0", response.Header.Get("Ce-Specversion"))
		require.Equal(t, "/stormfold/stormfold", response.Header.Get("Ce-Source"))
		require.Equal(t, "application/json", response.Header.Get("Content-Type"))
		require.Equal(t, traceparent, response.Header.Get("Ce-Traceparent"))
		told = append(told, response.Header.Get("Ce-Id"))
		var reply map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &reply))
		return response, reply
	}
	want := func(response *http.Response, reply map[string]any, eventType, kind, reason string, total, firing int) {
		t.Helper()
		require.Equal(t, "io.stormfold.incident."+eventType+".v1", response.Header.Get("Ce-Type"))
		name := s.list()[0].Name
		require.Equal(t, name, response.Header.Get("Ce-Subject"))
		require.Equal(t, map[string]any{
			"apiVersion": "stormfold.io/v1alpha1", "kind": "Incident", "namespace": "stormfold", "name": name,
		}, reply["incident"])
		require.Equal(t, map[string]any{"total": float64(total), "firing": float64(firing)}, reply["alerts"])
		require.Equal(t, kind, reply["type"])
		require.Equal(t, "default", reply["policy"])
		require.Equal(t, "PodDown", reply["alertName"])
		require.Len(t, reply["group"], 16)
		require.Positive(t, reply["revision"])
		if reason == "" {
			require.NotContains(t, reply, "reason")
		} else {
			require.Equal(t, reason, reply["reason"])
		}
	}

	response, reply := post(notification(s.pods("PodDown", 1, "firing")...))
	want(response, reply, "opened", "opened", "", 1, 1)
	response, _ = post(notification(s.pods("PodDown", 1, "firing")...))
	require.Empty(t, response.Header.Get("Ce-Type"), "a repetition is no news")
	response, reply = post(notification(s.pods("PodDown", 5, "firing")...))
	want(response, reply, "storm", "storm", "", 5, 5)
	response, _ = post(notification(s.pods("PodDown", 6, "firing")...))
	require.Empty(t, response.Header.Get("Ce-Type"), "a storm that grows is no news")
	response, reply = post(notification(s.pods("PodDown", 6, "resolved")...))
	want(response, reply, "resolved", "resolved", "AllResolved", 6, 0)
	response, _ = post(notification(s.pods("PodDown", 1, "firing")...))
	require.Empty(t, response.Header.Get("Ce-Type"), "that firing is over")
	response, reply = post(notification(again(s.pods("PodDown", 1, "firing")...)...))
	want(response, reply, "opened", "reopened", "", 6, 1)
	i := s.awaitOne(6, 1, 5)
	require.EqualValues(t, 1, i.Status.Reopened)
	require.EqualValues(t, i.Status.ObservedRevision, reply["revision"], "the reply has the revision that is written")

	seen := map[string]bool{}
	for _, id := range told {
		require.Len(t, id, 32)
		require.False(t, seen[id], "each reply has an id of its own")
		seen[id] = true
	}
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// TestModes: an event is the same in each of the forms that HTTP has for it.
func TestModes(t *testing.T) {
	p := startPod(t)
	at := time.Now().UTC().Format(time.RFC3339Nano)
	send := func(t *testing.T, header map[string]string, data any) *scene {
		s := newScene(t, p)
		body, err := json.Marshal(data)
		require.NoError(t, err)
		body = bytes.ReplaceAll(body, []byte("NAMESPACE"), []byte(s.namespace))
		response, text := exchange(t, http.MethodPost, p.url, header, body)
		require.Equal(t, http.StatusOK, response.StatusCode, text)
		require.Equal(t, "io.stormfold.incident.opened.v1", response.Header.Get("Ce-Type"))
		return s
	}
	alert := (&scene{t: t, namespace: "NAMESPACE"}).alert("PodDown", "web-0", "firing")
	delete(alert, "fingerprint") // It would be that of another namespace.
	event := func(eventType string, data any) map[string]any {
		return map[string]any{
			"specversion": "1.0",
			"id":          uuid.NewString(),
			"source":      "/test",
			"type":        eventType,
			"time":        at,
			"data":        data,
		}
	}
	structured := map[string]string{"Content-Type": "application/cloudevents+json"}
	for _, c := range []struct {
		name   string
		header map[string]string
		data   any
	}{
		{"binary, one alert", ceHeader(typeAlert), alert},
		{"binary, notification", ceHeader(typeNotification), notification(alert)},
		{"binary, without content type", ceHeader(typeAlert, "Content-Type", ""), alert},
		{"binary, with charset", ceHeader(typeAlert, "Content-Type", "application/json; charset=utf-8"), alert},
		{"binary, without time", ceHeader(typeAlert, "Ce-Time", ""), alert},
		{"structured, one alert", structured, event(typeAlert, alert)},
		{"structured, notification", map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"},
			event(typeNotification, notification(alert))},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := send(t, c.header, c.data)
			i := s.awaitOne(1, 1, 0)
			require.Equal(t, "web-0", i.Status.Resources[0].Name)
			require.Equal(t, "pod web-0 is in trouble", i.Status.Exemplar.Summary)
		})
	}
}

// TestNormalKubernetesEvent: an event that is not a Warning is accepted and ignored.
func TestNormalKubernetesEvent(t *testing.T) {
	s := newScene(t, startPod(t))
	now := time.Now().UTC().Format(time.RFC3339)
	a := s.post("dev.knative.apiserver.resource.add", map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Scheduled", "message": "assigned to node-0",
		"metadata":       map[string]any{"name": "web-0.1", "namespace": s.namespace, "uid": "1"},
		"involvedObject": map[string]any{"kind": "Pod", "namespace": s.namespace, "name": "web-0"},
		"firstTimestamp": now, "lastTimestamp": now, "count": 1,
	})
	require.Equal(t, 2, a.code/100, a.body)
	require.Empty(t, a.reply)
	// The next notification of the same group is the first to report it.
	s.notify(s.alert("Scheduled", "web-0", "firing"))
	s.awaitOne(1, 1, 0)
}

// TestTick: a PingSource's event starts work that is due, here a group whose pod has died before its flush interval was
// over.
func TestTick(t *testing.T) {
	const never = "STORMFOLD_SWEEP_INTERVAL=10m"
	dying, ticked := startPod(t, never), startPod(t, never)
	s := newScene(t, dying)
	s.notify(s.pods("PodDown", 6, "firing")...)
	s.awaitOne(6, 6, 0)
	s.notify(s.pods("PodDown", 9, "firing")...)
	require.NoError(t, dying.Kill())
	t.Logf("%d of 9 alerts are written without it", s.list()[0].Status.Alerts.Total)
	s.pod = ticked
	tick := func() {
		response, text := exchange(
			t,
			http.MethodPost,
			ticked.url,
			ceHeader("dev.knative.sources.ping"),
			[]byte(`{"anything":"goes"}`),
		)
		require.Equal(t, 2, response.StatusCode/100, text)
		require.Empty(t, response.Header.Get("Ce-Type"))
	}
	eventually(t, 10*time.Second, func() error {
		tick()
		if total := s.list()[0].Status.Alerts.Total; total != 9 {
			return fmt.Errorf("%d of 9 alerts", total)
		}
		return nil
	})
	response, text := exchange(
		t,
		http.MethodPost,
		ticked.url,
		ceHeader("dev.knative.sources.ping", "Content-Type", ""),
		nil,
	)
	require.Equal(t, 2, response.StatusCode/100, text)
}

// TestHealth: an unreachable Redis is waited for; until then nothing is taken, and nothing is restarted.
func TestHealth(t *testing.T) {
	server := testbed.Redis(t)
	require.NoError(t, server.Stop())
	p := launchPod(t, "STORMFOLD_REDIS_URL="+server.URL)
	code := func(path string) int {
		r, err := http.Get(p.url + path)
		if err != nil {
			return 0
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	eventually(t, 30*time.Second, func() error {
		if c := code("/health/readiness"); c != http.StatusServiceUnavailable {
			return fmt.Errorf("readiness %d", c)
		}
		return nil
	})
	require.Equal(t, http.StatusOK, code("/health/liveness"))
	s := newScene(t, p)
	a := s.post(typeAlert, s.alert("Early", "web-0", "firing"))
	require.Equal(t, http.StatusServiceUnavailable, a.code)
	require.Equal(t, "not_ready: the function has not started yet", a.body)

	require.NoError(t, server.Start())
	p.awaitReady(t)
	require.Equal(t, http.StatusOK, code("/health/liveness"))
	s.notify(s.alert("Early", "web-0", "firing"))
	s.awaitOne(1, 1, 0)

	// A Redis that goes later makes events be refused, not the pod be restarted or taken out: it would come back no
	// sooner.
	require.NoError(t, server.Stop())
	a = s.post(typeAlert, s.alert("Late", "web-0", "firing"))
	require.Equal(t, http.StatusServiceUnavailable, a.code, a.body)
	require.Equal(t, "redis_unavailable: Redis is not available", a.body)
	require.Equal(t, http.StatusOK, code("/health/liveness"))
}

// TestStartRefused: what is set up wrongly ends the process, with one message that says what and what would be right.
func TestStartRefused(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("policies:\n- name: default\n  threshold: many\n"), 0o600))
	taken := strings.TrimPrefix(startPod(t).url, "http://")
	for _, c := range []struct {
		name string
		env  []string
		says []string
	}{
		{"a bound", []string{"STORMFOLD_LEASE=1s"}, []string{`STORMFOLD_LEASE: "1s"`, "5s"}},
		{"no duration", []string{"STORMFOLD_KUBE_TIMEOUT=soon"}, []string{`STORMFOLD_KUBE_TIMEOUT: "soon"`, "5s"}},
		{"no number", []string{"STORMFOLD_KUBE_QPS=fast"}, []string{`STORMFOLD_KUBE_QPS: "fast"`, "1000"}},
		{"no such word", []string{"STORMFOLD_LOG_LEVEL=loud"}, []string{`STORMFOLD_LOG_LEVEL: "loud"`, "warn"}},
		{"no namespace", []string{"STORMFOLD_NAMESPACE=Storm_Fold"}, []string{`STORMFOLD_NAMESPACE: "Storm_Fold"`,
			"stormfold"}},
		{"no Redis URL", []string{"STORMFOLD_REDIS_URL=http://127.0.0.1"}, []string{`STORMFOLD_REDIS_URL: "http://127.0.0.1"`,
			"redis://"}},
		{"no such setting", []string{"STORMFOLD_REDIS_ADDR=x"}, []string{"STORMFOLD_REDIS_ADDR: there is no such setting"}},
		{"two at once", []string{"STORMFOLD_LEASE=1s", "STORMFOLD_LOG_LEVEL=loud"}, []string{`STORMFOLD_LEASE: "1s"`,
			`STORMFOLD_LOG_LEVEL: "loud"`}},
		{"no policies file", []string{"STORMFOLD_POLICIES=/no/such/file"}, []string{"STORMFOLD_POLICIES", "/no/such/file"}},
		{"a broken policies file", []string{"STORMFOLD_POLICIES=" + broken}, []string{"STORMFOLD_POLICIES", "threshold",
			"many"}},
		{"no kubeconfig", []string{"KUBECONFIG=/no/such/file"}, []string{`KUBECONFIG: "/no/such/file"`}},
		{"a taken metrics port", []string{"STORMFOLD_METRICS_ADDRESS=" + taken}, []string{`STORMFOLD_METRICS_ADDRESS: cannot listen on "` +
			taken + `"`}},
		{"no permission", []string{"KUBECONFIG=" + cluster.ServiceAccountKubeconfig(t, "stormfold", "without-a-role")},
			[]string{"may not list incidents in namespace stormfold", "deploy/rbac"}},
		{"a namespace without a role", []string{"STORMFOLD_NAMESPACE=elsewhere"},
			[]string{"may not list incidents in namespace elsewhere", "deploy/rbac"}},
	} {
		t.Run(c.name, func(t *testing.T) { refusesToStart(t, c.env, c.says) })
	}
	t.Run("no definition", func(t *testing.T) {
		bare := testbed.ControlPlane(t)
		refusesToStart(
			t,
			[]string{"KUBECONFIG=" + bare.KubeconfigPath},
			[]string{"does not serve incidents.stormfold.io", "deploy/crd"},
		)
	})
}

// refusesToStart expects the process to end with a status of its own choice, and its last line to say everything.
func refusesToStart(t *testing.T, env, says []string) {
	t.Helper()
	p := launchPod(t, env...)
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		log, _ := p.Log()
		t.Fatalf("it runs:\n%s", log)
	}
	require.ErrorContains(t, p.Wait(), "exit status 1")
	log, err := p.Log()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(log), "\n")
	last := lines[len(lines)-1]
	require.True(t, strings.HasPrefix(last, "stormfold: "), log)
	for _, text := range says {
		require.Contains(t, last, text)
	}
	require.NotContains(t, log, "goroutine ", "no stack")
}
