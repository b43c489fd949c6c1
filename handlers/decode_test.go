package handlers

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
)

var (
	spoken   = time.Date(2026, 3, 1, 10, 16, 0, 987654321, time.UTC)
	heard    = spoken.Truncate(time.Millisecond)
	received = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	started  = time.Date(2026, 3, 1, 10, 15, 30, 123e6, time.UTC)
	ended    = time.Date(2026, 3, 1, 10, 20, 0, 0, time.UTC)
)

// incoming is an event of that type, spoken at the time above.
func incoming(eventType string, data []byte) event.Event {
	ev := event.New()
	ev.SetID("1")
	ev.SetSource("/test")
	ev.SetType(eventType)
	ev.SetTime(spoken)
	ev.SetDataContentType("application/json")
	ev.DataEncoded = data
	return ev
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	return data
}

// podAlert is an alert of the golden notifications.
func podAlert(name, runbook, namespace, pod, fingerprint string) aggregator.Alert {
	return aggregator.Alert{
		Fingerprint: fingerprint, Status: aggregator.Firing, StartsAt: started, NotifiedAt: heard,
		Labels: map[string]string{
			"alertname": name,
			"job":       "kube-state-metrics",
			"namespace": namespace,
			"pod":       pod,
			"severity":  "critical",
		},
		Annotations: map[string]string{
			"runbook_url": "https://runbooks.example/" + runbook, "summary": "Pod " + pod + " läuft nicht — 再起動",
		},
		GeneratorURL: "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
	}
}

func over(a aggregator.Alert) aggregator.Alert {
	a.Status, a.EndsAt = aggregator.Resolved, ended
	return a
}

func TestDecodeWhatAlertmanagerSends(t *testing.T) {
	const crash, oom, ready = "KubePodCrashLooping", "KubePodOOMKilled", "KubePodNotReady"
	lone := podAlert(crash, crash, "shop", "cart-7d9c6b8f4d-x2k8v", "1888a573c618f74b")
	group := []aggregator.Alert{
		podAlert(oom, oom, "data", "db-0", "6d4e4e93fd5b4d7b"),
		podAlert(oom, oom, "data", "db-1", "6af2f073ce55ef6e"),
		podAlert(oom, oom, "data", "db-2", "bdee2c2c3c4f2411"),
	}
	for name, want := range map[string]aggregator.Batch{
		"firing":   {Alerts: []aggregator.Alert{lone}},
		"resolved": {Alerts: []aggregator.Alert{over(lone)}},
		"group":    {Alerts: group},
		"mixed":    {Alerts: []aggregator.Alert{group[0], over(group[1]), group[2]}},
		"truncated": {Truncated: true, Alerts: []aggregator.Alert{
			podAlert(ready, oom, "data", "db-0", "5c364e6aad60a9c9"), podAlert(ready, oom, "data", "db-1", "4bb2de9bcf440ad4"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(incoming(TypeNotification, golden(t, name)), received)
			require.NoError(t, err)
			require.Regexp(t, "^[0-9a-f]{16}$", got.Batch.GroupKey)
			want.GroupKey = got.Batch.GroupKey
			require.Equal(t, Request{Kind: Alerts, Batch: want, NotifiedAt: heard}, got)
			for _, a := range got.Batch.Alerts {
				require.Equal(t, a.Fingerprint, fingerprint(a.Labels), "computed as Alertmanager computes it")
			}
		})
	}
}

func TestDecodeOneAlert(t *testing.T) {
	var n struct{ Alerts []json.RawMessage }
	require.NoError(t, json.Unmarshal(golden(t, "resolved"), &n))
	whole, err := Decode(incoming(TypeNotification, golden(t, "resolved")), received)
	require.NoError(t, err)
	one, err := Decode(incoming(TypeAlert, n.Alerts[0]), received)
	require.NoError(t, err)
	whole.Batch.GroupKey = "" // Only a notification has one.
	require.Equal(t, whole, one)
}

func TestStructuredAndBinaryModeAreTheSame(t *testing.T) {
	binary := incoming(TypeNotification, golden(t, "mixed"))
	want, err := Decode(binary, received)
	require.NoError(t, err)
	for _, base64 := range []bool{false, true} {
		binary.DataBase64 = base64
		text, err := json.Marshal(binary)
		require.NoError(t, err)
		require.Equal(t, base64, strings.Contains(string(text), "data_base64"))
		var structured event.Event
		require.NoError(t, json.Unmarshal(text, &structured))
		got, err := Decode(structured, received)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestContentTypes(t *testing.T) {
	for _, contentType := range []string{"", "application/json", "text/json", "Application/JSON; charset=utf-8",
		"application/vnd.x+json"} {
		ev := incoming(TypeNotification, golden(t, "firing"))
		ev.SetDataContentType(contentType)
		_, err := Decode(ev, received)
		require.NoError(t, err, contentType)
	}
	for _, contentType := range []string{"text/plain", "application/xml", "json", ";"} {
		ev := incoming(TypeNotification, golden(t, "firing"))
		ev.SetDataContentType(contentType)
		_, err := Decode(ev, received)
		require.EqualError(t, err, `datacontenttype: "`+contentType+`" is not JSON`)
	}
}

func TestTick(t *testing.T) {
	ev := incoming(TypePing, []byte("anything"))
	ev.SetDataContentType("text/plain")
	got, err := Decode(ev, received)
	require.NoError(t, err)
	require.Equal(t, Request{Kind: Tick}, got)
}

func TestOtherTypes(t *testing.T) {
	for _, eventType := range []string{"", "x", "dev.knative.apiserver.resource.delete", "dev.knative.apiserver.ref.add",
		TypeOpened, TypeStorm, TypeResolved} {
		require.False(t, Known(eventType))
		_, err := Decode(incoming(eventType, golden(t, "firing")), received)
		require.EqualError(t, err, `type: "`+eventType+`" is not a supported event type`)
	}
	_, err := Decode(event.Event{}, received)
	require.ErrorContains(t, err, "type: ")
}

func TestNotifiedAt(t *testing.T) {
	at := func(clock string) time.Time {
		parsed, err := time.Parse(time.RFC3339, "2026-03-01T"+clock)
		require.NoError(t, err)
		return parsed.UTC()
	}
	for _, c := range []struct {
		name, time string
		arrival    any
		want       time.Time
	}{
		{"neither", "", nil, received},
		{"the event's time", "10:16:00.9876Z", nil, at("10:16:00.987Z")},
		{"the arrival", "", "2026-03-01T10:17:00.5Z", at("10:17:00.5Z")},
		{"the time is earlier", "10:16:00Z", "2026-03-01T10:17:00Z", at("10:16:00Z")},
		{"the arrival is earlier", "10:16:00Z", "2026-03-01T12:15:00.12345+02:00", at("10:15:00.123Z")},
		{"the arrival as a time", "10:16:00Z", at("10:15:00Z"), at("10:15:00Z")},
		{"hours ahead of the receipt", "23:00:00Z", "2026-03-01T22:00:00Z", at("22:00:00Z")},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev := incoming(TypeNotification, golden(t, "firing"))
			ev.SetTime(time.Time{})
			if c.time != "" {
				ev.SetTime(at(c.time))
			}
			if c.arrival != nil {
				ev.SetExtension("knativearrivaltime", c.arrival)
			}
			got, err := Decode(ev, received)
			require.NoError(t, err)
			require.Equal(t, c.want, got.NotifiedAt)
			require.Equal(t, c.want, got.Batch.Alerts[0].NotifiedAt)
		})
	}
	ev := incoming(TypeNotification, golden(t, "firing"))
	ev.SetExtension("knativearrivaltime", "soon")
	_, err := Decode(ev, received)
	require.EqualError(t, err, `knativearrivaltime: "soon" is not an RFC 3339 time`)
	ev.SetExtension("knativearrivaltime", "0001-01-01T00:00:00Z")
	_, err = Decode(ev, received)
	require.EqualError(t, err, `knativearrivaltime: 0001-01-01T00:00:00Z is before 1970`)
	require.EqualError(
		t,
		TooFarAhead(spoken, 12*time.Minute+time.Millisecond),
		"time: 2026-03-01T10:16:00Z is 12m0s ahead of the clock of the function",
	)
}

// TestAttributesOfAnyBytes: an event's attributes are not checked by anyone before they are repeated in an error.
func TestAttributesOfAnyBytes(t *testing.T) {
	bytes := strings.Repeat("\x80", 65)
	_, err := Decode(incoming(bytes, golden(t, "firing")), received)
	require.EqualError(t, err, `type: "…" is not a supported event type`)
	ev := incoming(TypeNotification, golden(t, "firing"))
	ev.SetDataContentType(bytes)
	_, err = Decode(ev, received)
	require.EqualError(t, err, `datacontenttype: "…" is not JSON`)
	ev = incoming(TypeNotification, golden(t, "firing"))
	ev.SetExtension("knativearrivaltime", "a\xff"+bytes)
	_, err = Decode(ev, received)
	require.EqualError(t, err, `knativearrivaltime: "a…" is not an RFC 3339 time`)
}
