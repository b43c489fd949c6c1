package integration

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// A dead letter is never silent: whatever is refused permanently is counted, and the log names the event and the
// reason, whether it got as far as the function or not.
func TestEveryDeadLetterIsHeardOf(t *testing.T) {
	p := startPod(t)
	s := newScene(t, p)
	tooLarge := bytes.Repeat([]byte(" "), 4<<20+1)
	structured := func(event string) (map[string]string, []byte) {
		return map[string]string{"Content-Type": "application/cloudevents+json"}, []byte(event)
	}
	// Each counts as what follows it.
	for _, c := range []struct {
		name   string
		send   func(id string) (map[string]string, []byte)
		counts string
		reason string
		noID   bool
	}{
		{"unknown type", func(id string) (map[string]string, []byte) { return ceHeader("x.y.z", "Ce-Id", id), []byte("{}") },
			`stormfold_events_total{result="invalid",type="other"}`, "invalid", false},
		{"no JSON", func(id string) (map[string]string, []byte) { return ceHeader(typeAlert, "Ce-Id", id), []byte("{") },
			`stormfold_events_total{result="invalid",type="` + typeAlert + `"}`, "invalid", false},
		{"too deep", func(id string) (map[string]string, []byte) {
			return ceHeader(typeAlert, "Ce-Id", id), bytes.Repeat([]byte("["), 100)
		}, `stormfold_events_total{result="too_large",type="` + typeAlert + `"}`, "too_large", false},
		{"from the future", func(id string) (map[string]string, []byte) {
			body := []byte(`{"status":"firing","startsAt":"2026-01-01T00:00:00Z","labels":{"alertname":"A"}}`)
			return ceHeader(typeAlert, "Ce-Id", id, "Ce-Time", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), body
		}, `stormfold_events_total{result="invalid",type="` + typeAlert + `"}`, "invalid", false},
		{"too large for the guard", func(id string) (map[string]string, []byte) {
			return ceHeader(typeAlert, "Ce-Id", id),
				tooLarge
		},
			`stormfold_requests_refused_total{reason="too_large"}`, "too_large", false},
		{"no source", func(id string) (map[string]string, []byte) {
			return ceHeader(typeAlert, "Ce-Id", id, "Ce-Source", ""), []byte("{}")
		}, `stormfold_requests_refused_total{reason="invalid"}`, "invalid", false},
		{"structured without a type", func(id string) (map[string]string, []byte) {
			return structured(`{"specversion":"1.0","id":"` + id + `","source":"/s","data":{}}`)
		}, `stormfold_requests_refused_total{reason="invalid"}`, "invalid", false},
		{"structured, malformed", func(string) (map[string]string, []byte) { return structured(`{"specversion"`) },
			`stormfold_requests_refused_total{reason="invalid"}`, "invalid", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := uuid.NewString()
			header, body := c.send(id)
			before, _ := strconv.Atoi(s.metrics()[c.counts])
			logBefore, err := p.Log()
			require.NoError(t, err)
			response, text := exchange(t, http.MethodPost, p.url, header, body)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, response.StatusCode, text)
			require.Equal(t, strconv.Itoa(before+1), s.metrics()[c.counts])
			eventually(t, 10*time.Second, func() error {
				log, err := p.Log()
				if err != nil {
					return err
				}
				for line := range strings.Lines(log[len(logBefore):]) {
					if strings.Contains(line, "refused permanently") && strings.Contains(line, `"reason":"`+c.reason+`"`) &&
						(c.noID || strings.Contains(line, `"event":"`+id+`"`)) {
						return nil
					}
				}
				return fmt.Errorf("no line about event %s in\n%s", id, log[len(logBefore):])
			})
		})
	}
}

// With STORMFOLD_REDIS_WAIT_REPLICAS an event is accepted when a replica has it, and refused while none does.
func TestEventsWaitForReplicas(t *testing.T) {
	master := testbed.Redis(t, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr)
	require.NoError(t, err)
	replica := testbed.Redis(t, "--replicaof", host, port)
	s := newScene(
		t,
		startPod(t, "STORMFOLD_REDIS_URL="+master.URL, "STORMFOLD_REDIS_WAIT_REPLICAS=1", "STORMFOLD_REDIS_TIMEOUT=600ms"),
	)
	s.accepted(newLetter(t, s.alert("DiskFull", "db-0", "firing"))) // The first copy may take a while.
	s.awaitOne(1, 1, 0)

	require.NoError(t, replica.Pause())
	l := newLetter(t, s.pods("PodDown", 6, "firing")...)
	for range 2 {
		a := s.postRaw(l.header, l.body)
		require.Equal(t, http.StatusServiceUnavailable, a.code, a.body)
		require.True(t, strings.HasPrefix(a.body, "redis_replicas: "), a.body)
	}
	s.await(storms(1)) // The master has them: they are still written, long before any lease is over.
	require.NoError(t, replica.Resume())
	s.accepted(l)
	s.await(storms(1))
}

// storms expects that many incidents of type Storm, each of six alerts, beside one lone incident.
func storms(n int) func([]v1alpha1.Incident) error {
	return func(items []v1alpha1.Incident) error {
		have := 0
		for _, i := range items {
			if i.Status.Type == v1alpha1.TypeStorm && i.Status.Alerts.Firing == 6 {
				have++
			}
		}
		if have != n || len(items) != n+1 {
			return fmt.Errorf("want %d storms, have %s", n, summary(items))
		}
		return nil
	}
}
