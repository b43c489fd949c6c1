package source

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/handlers"
)

func many(n, size int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = anAlert(i, size)
	}
	return out
}

func TestANotificationBecomesOneEvent(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	arrived := time.Date(2026, 3, 1, 11, 16, 0, 123456789, time.FixedZone("", 3600))
	s.now = func() time.Time { return arrived }
	status, text := post(s, aWebhook(many(3, 0)...))
	require.Equal(t, http.StatusOK, status, text)
	require.Empty(t, text)

	events := sink.accepted()
	require.Len(t, events, 1)
	ev := events[0]
	assert.Equal(t, "io.prometheus.alertmanager.notification.v1", ev.Type())
	assert.Equal(t, "http://alertmanager.example:9093", ev.Source())
	assert.Equal(t, "stormfold", ev.Subject())
	assert.Equal(t, "application/json", ev.DataContentType())
	assert.Equal(t, arrived.UTC(), ev.Time())
	assert.Equal(t, map[string]any{"partitionkey": "8f2d718b91bf3a76edbafd28d69c95ce"}, ev.Extensions())
	assert.JSONEq(t, aWebhook(many(3, 0)...), string(ev.Data()), "the document, unknown fields included")
	assert.Equal(t, many(3, 0), alertsOf(t, events), "byte for byte")
	assert.InDelta(t, 3, valueOf(t, s.metrics.alerts), 0)

	status, text = post(s, aWebhook(many(3, 0)...))
	require.Equal(t, http.StatusOK, status, text)
	assert.NotEqual(t, ev.ID(), sink.accepted()[1].ID(), "the same content again is another event")
}

// TestChunks: whatever the alerts' sizes, the chunks together are the notification.
func TestChunks(t *testing.T) {
	mixed := many(400, 300)
	mixed[37], mixed[38], mixed[399] = anAlert(37, 100_000), anAlert(38, MaxChunk), anAlert(399, 60_000)
	for name, c := range map[string]struct {
		alerts []string
		events int
	}{
		"one":                      {many(1, 0), 1},
		"500 of Alertmanager":      {many(500, 700), 6},
		"each larger than a chunk": {many(5, 70_000), 5},
		"each larger than a half":  {many(5, 40_000), 5},
		"small and large ones":     {mixed, 6},
		"a storm of 5,000, 4.7 MB": {many(5000, 940), 73},
	} {
		t.Run(name, func(t *testing.T) {
			sink := newRecorder(t)
			s := newSource(t, sink.URL)
			body := aWebhook(c.alerts...)
			status, text := post(s, body)
			require.Equal(t, http.StatusOK, status, text)
			events := sink.accepted()
			require.Equal(t, c.alerts, alertsOf(t, events), "every alert, once, in order")
			assert.Len(t, events, c.events)

			var whole map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(body), &whole))
			ids := map[string]bool{}
			for _, ev := range events {
				var document map[string]json.RawMessage
				require.NoError(t, json.Unmarshal(ev.Data(), &document))
				var in []json.RawMessage
				require.NoError(t, json.Unmarshal(document["alerts"], &in))
				if len(in) > 1 {
					assert.LessOrEqual(t, len(ev.Data()), MaxChunk)
				}
				delete(document, "alerts")
				rest := mapsWithout(whole, "alerts")
				assert.Equal(t, rest, document, "the rest of the document, truncatedAlerts included, is with every chunk")
				assert.Equal(t, events[0].Time(), ev.Time())
				assert.Equal(t, events[0].Extensions(), ev.Extensions())
				assert.False(t, ids[ev.ID()])
				ids[ev.ID()] = true
				request, err := handlers.Decode(ev, time.Now())
				require.NoError(t, err, "the function takes it")
				assert.Len(t, request.Batch.Alerts, len(in))
				assert.True(t, request.Batch.Truncated)
			}
			for i := 1; i < len(events); i++ {
				first := alertsOf(t, events[i:i+1])[0]
				assert.Greater(t, len(events[i-1].Data())+1+len(first), MaxChunk, "chunk %d had room for more", i-1)
			}
		})
	}
}

func mapsWithout(in map[string]json.RawMessage, key string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for k, v := range in {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// TestASinkThatFailsHalfWay: the notification is refused, and its repetition makes it complete.
func TestASinkThatFailsHalfWay(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	all := many(500, 700)
	sink.answer = func(n int, _ event.Event) int {
		if n == 4 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	}
	status, text := post(s, aWebhook(all...))
	require.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(
		t,
		text,
		"event 4, with 93 of 500 alerts, was not accepted by the sink: the sink answers 503 Service Unavailable: no room for event 4",
	)
	assertOneSentence(t, text)
	half := sink.accepted()
	require.Len(t, half, 3, "nothing is sent after the failure")
	assert.InDelta(t, float64(len(alertsOf(t, half))), valueOf(t, s.metrics.alerts), 0)

	status, text = post(s, aWebhook(all...))
	require.Equal(t, http.StatusOK, status, text)
	again := sink.accepted()[3:]
	require.Equal(t, all, alertsOf(t, again))
	assert.NotEqual(t, half[0].Time(), again[0].Time(), "the repetition is a word of its own")
	assert.NotEqual(t, half[0].ID(), again[0].ID())
}

// TestASinkThatRefusesForGood: the chunk it refuses keeps none of the others back.
func TestASinkThatRefusesForGood(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	sink.answer = func(n int, _ event.Event) int {
		if n == 2 {
			return http.StatusBadRequest
		}
		return http.StatusOK
	}
	status, text := post(s, aWebhook(many(4, 50_000)...))
	require.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, text, "event 2, with 1 of 4 alerts, was not accepted by the sink: the sink answers 400 Bad Request")
	assert.Equal(t, []string{anAlert(0, 50_000), anAlert(2, 50_000), anAlert(3, 50_000)}, alertsOf(t, sink.accepted()))
	assert.InDelta(t, 1, valueOf(t, s.metrics.notifications["sink_refused"]), 0)
	assert.InDelta(t, 3, valueOf(t, s.metrics.events["ok"]), 0)
}

func TestAnswersOfTheSink(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	elsewhere := newRecorder(t)
	for status, want := range map[int]string{
		200: "ok", 202: "ok", 204: "ok", 301: "sink_unavailable", 303: "sink_unavailable", 307: "sink_unavailable",
		400: "sink_refused",
		401: "sink_unavailable", 403: "sink_unavailable", 404: "sink_unavailable", 408: "sink_unavailable",
		409: "sink_unavailable",
		413: "sink_refused", 415: "sink_refused", 425: "sink_unavailable", 429: "sink_unavailable", 500: "sink_unavailable",
		503: "sink_unavailable",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(status)
			}))
			defer sink.Close()
			s := newSource(t, sink.URL)
			code, text := post(s, aWebhook(anAlert(0, 0)))
			if want == "ok" {
				assert.Equal(t, http.StatusOK, code, text)
			} else {
				assert.Equal(t, http.StatusServiceUnavailable, code)
				assert.Contains(t, text, fmt.Sprint(status))
			}
			assert.InDelta(t, 1, valueOf(t, s.metrics.events[reason(want)]), 0)
			assert.InDelta(t, 1, valueOf(t, s.metrics.notifications[reason(want)]), 0)
		})
	}
	assert.Empty(t, elsewhere.accepted(), "redirects are not followed")

	t.Run("none", func(t *testing.T) {
		s := newSource(t, closed.URL+"/secret-path")
		code, text := post(s, aWebhook(anAlert(0, 0)))
		assert.Equal(t, http.StatusServiceUnavailable, code)
		assert.Contains(t, text, "the sink cannot be reached: ")
		assert.NotContains(t, text, "secret-path")
		assert.InDelta(t, 1, valueOf(t, s.metrics.notifications["sink_unreachable"]), 0)
	})
	t.Run("too late", func(t *testing.T) {
		release := make(chan struct{})
		sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		defer sink.Close()
		defer close(release)
		s := newSource(t, sink.URL, prefix+"SINK_TIMEOUT", "100ms")
		code, text := post(s, aWebhook(anAlert(0, 0)))
		assert.Equal(t, http.StatusServiceUnavailable, code)
		assert.Contains(t, text, "the sink did not answer in time")
		assert.InDelta(t, 1, valueOf(t, s.metrics.notifications["sink_timeout"]), 0)
	})
}

// TestTheTimeOfARequestIsBounded: a sink that takes just not too long for each of many events.
func TestTheTimeOfARequestIsBounded(t *testing.T) {
	sink := newRecorder(t)
	sink.answer = func(n int, _ event.Event) int {
		if n > 1 {
			<-t.Context().Done() // Longer than the request may take.
		}
		return http.StatusOK
	}
	s := newSource(t, sink.URL, prefix+"REQUEST_TIMEOUT", "1s", prefix+"SINK_TIMEOUT", "1m")
	code, text := post(s, aWebhook(many(4, 50_000)...))
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Contains(t, text, "event 2, with 1 of 4 alerts, was not accepted by the sink: the sink did not answer in time")
	sink.CloseClientConnections()
}

func TestASenderThatHasGone(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	ctx, cancel := context.WithCancel(t.Context())
	sink.answer = func(int, event.Event) int {
		cancel()
		return http.StatusOK
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(aWebhook(many(4, 50_000)...)))
	s.ServeHTTP(httptest.NewRecorder(), r)
	assert.InDelta(t, 1, valueOf(t, s.metrics.notifications["gone"]), 0)
	assert.LessOrEqual(t, len(sink.accepted()), 2)
}

// TestOnlySoManyAtOnce: a notification beyond the bound is refused at once, and the next is taken when there is room.
func TestOnlySoManyAtOnce(t *testing.T) {
	sink := newRecorder(t)
	wait, waiting := make(chan struct{}), make(chan struct{}, 5)
	release := sync.OnceFunc(func() { close(wait) })
	t.Cleanup(release) // Whatever fails here, the sink can be closed.
	sink.answer = func(int, event.Event) int {
		waiting <- struct{}{}
		<-wait
		return http.StatusOK
	}
	s := newSource(t, sink.URL, prefix+"CONCURRENCY", "3")
	var all sync.WaitGroup
	codes := make([]int, 3)
	for i := range codes {
		all.Go(func() { codes[i], _ = post(s, aWebhook(anAlert(i, 0))) })
	}
	for range codes {
		<-waiting
	}
	assert.InDelta(t, 3, valueOf(t, s.metrics.inFlight), 0)
	code, text := post(s, aWebhook(anAlert(9, 0)))
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Equal(t, "3 notifications are being sent already, send this one again later", text)
	release()
	all.Wait()
	assert.Equal(t, []int{200, 200, 200}, codes)
	code, text = post(s, aWebhook(anAlert(9, 0)))
	assert.Equal(t, http.StatusOK, code, text)
	assert.Len(t, sink.accepted(), 4)
	assert.InDelta(t, 0, valueOf(t, s.metrics.inFlight), 0)
}

func TestOverrides(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(
		t,
		sink.URL,
		overridesKey,
		`{"extensions":{"cluster":"east","partitionkey":"all"}}`,
		originKey,
		"/clusters/east",
	)
	code, text := post(s, aWebhook(anAlert(0, 0)))
	require.Equal(t, http.StatusOK, code, text)
	ev := sink.accepted()[0]
	assert.Equal(t, map[string]any{"cluster": "east", "partitionkey": "all"}, ev.Extensions())
	assert.Equal(t, "/clusters/east", ev.Source())
}

// TestAttributes: what a notification lacks or what no header can hold makes no event that a sink would refuse.
func TestAttributes(t *testing.T) {
	for name, c := range map[string]struct{ receiver, externalURL, groupKey, source, subject string }{
		"usual":              {"team-a/slack", "https://am.example/x", "g", "https://am.example/x", "team-a/slack"},
		"nothing":            {"", "", "", "/alertmanager", ""},
		"a password":         {"r", "http://u:secret@am:9093/", "g", "http://am:9093/", "r"},
		"no URL":             {"r", "alertmanager", "g", "/alertmanager", "r"},
		"control characters": {"a\r\nCe-Type: x", "http://am\r\n:9093", "g\x00", "/alertmanager", ""},
		"other scripts": {"Тревога", "http://тревога:9093", "группа",
			"http://%D1%82%D1%80%D0%B5%D0%B2%D0%BE%D0%B3%D0%B0:9093", ""},
		"longer than a header": {strings.Repeat("r", 2000), "http://am/" + strings.Repeat("x", 2000), strings.Repeat("g",
			20000), "/alertmanager", ""},
		"percent and quotes":    {`a%20b"c"`, "http://am/%7Bx%7D", `{}:{a="b"}`, "http://am/%7Bx%7D", ""},
		"a space at the end":    {"r ", "http://am", "g", "http://am", ""},
		"a space in the middle": {"r s", "http://am", "g", "http://am", "r s"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := newRecorder(t)
			s := newSource(t, sink.URL)
			body, err := json.Marshal(map[string]any{
				"version": "4", "receiver": c.receiver, "externalURL": c.externalURL, "groupKey": c.groupKey,
				"alerts": []json.RawMessage{json.RawMessage(anAlert(0, 0))},
			})
			require.NoError(t, err)
			code, text := post(s, string(body))
			require.Equal(t, http.StatusOK, code, text)
			ev := sink.accepted()[0]
			assert.Equal(t, c.source, ev.Source())
			assert.Equal(t, c.subject, ev.Subject())
			if c.groupKey == "" {
				assert.Empty(t, ev.Extensions())
			} else {
				assert.Regexp(t, "^[0-9a-f]{32}$", ev.Extensions()["partitionkey"])
			}
		})
	}
}

// unsized hides the length of a body, so that it is sent in pieces.
type unsized struct{ *strings.Reader }

func TestWhatIsNoWebhook(t *testing.T) {
	good := aWebhook(anAlert(0, 0))
	edited := func(from, to string) string {
		t.Helper()
		require.Contains(t, good, from)
		return strings.Replace(good, from, to, 1)
	}
	sink := newRecorder(t)
	small := newSource(t, sink.URL, prefix+"MAX_BODY", "2")
	large := newSource(t, sink.URL)
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"empty":             {"", 400, "the body is not a JSON object: unexpected EOF"},
		"no JSON":           {"it burns", 400, "the body is not a JSON object: invalid character"},
		"half":              {good[:len(good)/2], 400, "the body is not a JSON object: unexpected EOF"},
		"two documents":     {good + good, 400, "the body is not a JSON object: something follows the object"},
		"a list":            {"[]", 400, "the body is not a JSON object: a list or a single value"},
		"null":              {"null", 400, "the body is not a JSON object: a list or a single value"},
		"an event":          {`{"specversion":"1.0","id":"1"}`, 400, `alerts: it is missing or not a list`},
		"version 3":         {edited(`"version":"4"`, `"version":"3"`), 400, `version: "3" is neither "4" nor "1"`},
		"version as number": {edited(`"version":"4"`, `"version":4`), 400, `version: "4" is not a string`},
		"no version":        {edited(`"version":"4",`, ``), 400, `version: "" is neither "4" nor "1"`},
		"another spelling": {edited(`"receiver"`, `"ALERTS":[],"receiver"`), 400,
			`"ALERTS": the name of the field is alerts`},
		"groupKey no string": {edited(`"groupKey":"{}:{alertname=\"PodDown\"}"`, `"groupKey":{}`), 400,
			`groupKey: "{}" is not a string`},
		"truncatedAlerts negative": {edited(`"truncatedAlerts":7`, `"truncatedAlerts":-7`), 400,
			`truncatedAlerts: "-7" is not a number of alerts`},
		"no alerts":        {aWebhook(), 400, "alerts: there are none"},
		"alerts absent":    {`{"version":"4"}`, 400, "alerts: it is missing or not a list"},
		"alerts null":      {`{"version":"4","alerts":null}`, 400, "alerts: it is missing or not a list"},
		"alerts an object": {`{"version":"4","alerts":{}}`, 400, "alerts: it is missing or not a list"},
		"a comma too many": {edited(`"later":[{"x":1}]}]`, `"later":[{"x":1}]},]`), 400,
			"the body is not a JSON object: invalid character"},
		"only a number": {aWebhook("1"), 400, "alerts[0]: it is not an object"},
		"only null":     {aWebhook("null", "null"), 400, "alerts[0]: it is not an object"},
		"only another status": {edited(`"status":"firing","labels"`, `"status":"pending","labels"`), 400,
			`alerts[0]: its status is neither firing nor resolved`},
		"labels a list": {edited(`{"alertname":"PodDown","pod":"web-0","html":"<&>"}`, `["a"]`), 400,
			"alerts[0]: it has no labels"},
		"no labels": {edited(`{"alertname":"PodDown","pod":"web-0","html":"<&>"}`, `{}`), 400,
			"alerts[0]: it has no labels"},
		"only invalid UTF-8": {edited("web-0", "web-\xff"), 400, "alerts[0]: it is not valid UTF-8"},
		"a list of nothing":  {aWebhook(strings.Repeat("{},", 1_000_000) + "{}"), 400, "alerts[0]: its status"},
		"deep": {`{"version":"4","alerts":` + strings.Repeat("[", 20_000), 400,
			"the body is not a JSON object"},
		"too much beside the alerts": {edited(`"receiver":"stormfold"`, `"receiver":"`+strings.Repeat("r", maxHead)+`"`),
			400, "is larger than 32768 bytes"},
		"many fields": {edited(`"receiver":"stormfold"`, `"receiver":"stormfold"`+strings.Repeat(`,"x":{}`,
			100_000)), 400, "is larger than 32768 bytes"},
		"a field of 5 MiB": {edited(`"receiver":"stormfold"`, `"receiver":"`+strings.Repeat("r", 5<<20)+`"`), 413,
			"an alert or another field is larger than 4194304 bytes"},
		"a byte more than the bound": {good + strings.Repeat(" ", 2<<20-len(good)+1), 413,
			"the body is larger than 2097152 bytes"},
		"many bytes more":   {strings.Repeat(" ", 4<<20), 413, "the body is larger than 2097152 bytes"},
		"exactly the bound": {good + strings.Repeat(" ", 2<<20-len(good)), 200, ""},
		"written in lines, and later": {"{\n \"version\": \"4\",\n \"alerts\": [\n" + anAlert(0, 0) +
			"\n ], \"new\": [[1]]\n}\n", 200, ""},
		"Grafana's version":           {edited(`"version":"4"`, `"version":"1"`), 200, ""},
		"invalid UTF-8 beside alerts": {edited(`"receiver":"stormfold"`, "\"receiver\":\"\xff\""), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(sink.accepted())
			s := small
			if !strings.Contains(name, "bound") && !strings.Contains(name, "bytes more") {
				s = large
			}
			for _, sized := range []bool{true, false} {
				r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
				if !sized {
					r = httptest.NewRequest(http.MethodPost, "/", unsized{strings.NewReader(c.body)})
					r.ContentLength = -1
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				require.Equal(t, c.status, w.Code, w.Body.String())
				assert.Contains(t, w.Body.String(), c.says)
				if c.status != 200 {
					assertOneSentence(t, strings.TrimSpace(w.Body.String()))
					assert.Less(t, w.Body.Len(), 400)
				}
			}
			if c.status != 200 {
				assert.Len(t, sink.accepted(), before)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		w := httptest.NewRecorder()
		large.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
		assert.Equal(t, "POST", w.Header().Get("Allow"))
	})
}

// TestAStrangeAlertTakesNoneWithIt: what no one can use stays behind and is counted, and whatever else is strange is
// sent.
func TestAStrangeAlertTakesNoneWithIt(t *testing.T) {
	good := many(4, 0)
	for name, c := range map[string]struct{ alert, flaw string }{
		"a number":            {`1`, "type"},
		"null":                {`null`, "type"},
		"a list":              {`[{}]`, "type"},
		"invalid UTF-8":       {strings.Replace(anAlert(9, 0), "web", "\xff", 1), "encoding"},
		"another status":      {strings.Replace(anAlert(9, 0), "firing", "pending", 1), "status"},
		"a status object":     {strings.Replace(anAlert(9, 0), `"firing"`, `{"state":"active"}`, 1), "status"},
		"no labels":           {`{"status":"firing","labels":{}}`, "labels"},
		"labels that are one": {`{"status":"firing","labels":"alertname"}`, "labels"},
		"a number annotation": {strings.Replace(anAlert(9, 0), `{"text":""}`, `{"value":42}`, 1), ""},
		"a number label":      {strings.Replace(anAlert(9, 0), `"web-9"`, `9`, 1), ""},
		"no start":            {`{"status":"firing","labels":{"alertname":"A"}}`, ""},
		"a strange start": {`{"status":"firing","labels":{"alertname":"A"},"startsAt":[],"endsAt":"x","fingerprint":7}`,
			""},
		"a long label": {strings.Replace(anAlert(9, 0), "web-9", strings.Repeat("x", 6000), 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			sink := newRecorder(t)
			s := newSource(t, sink.URL)
			code, text := post(s, aWebhook(good[0], good[1], c.alert, good[2], good[3]))
			require.Equal(t, http.StatusOK, code, text)
			want := []string{good[0], good[1], c.alert, good[2], good[3]}
			if c.flaw != "" {
				want = good
				assert.InDelta(t, 1, valueOf(t, s.metrics.leftOut.WithLabelValues(c.flaw)), 0)
			}
			assert.Equal(t, want, alertsOf(t, sink.accepted()))
		})
	}
}

// TestWhatTheAlertsRepeatIsLeftOut when the document would not fit beside them otherwise.
func TestWhatTheAlertsRepeatIsLeftOut(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	body := strings.Replace(aWebhook(many(10, 40_000)...), `"commonAnnotations":{}`,
		`"commonAnnotations":{"text":"`+strings.Repeat("x", 40_000)+`"}`, 1)
	code, text := post(s, body)
	require.Equal(t, http.StatusOK, code, text)
	events := sink.accepted()
	require.Equal(t, many(10, 40_000), alertsOf(t, events))
	for _, ev := range events {
		assert.LessOrEqual(t, len(ev.Data()), MaxChunk)
		assert.NotContains(t, string(ev.Data()), "commonAnnotations")
		assert.Contains(t, string(ev.Data()), `"commonLabels":{"alertname":"PodDown"}`)
	}
}

// TestABodyThatBreaksOff is refused, and nothing of it is sent.
func TestABodyThatBreaksOff(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"version\"")
	require.NoError(t, err)
	require.NoError(t, c.Close())
	eventually(t, func() bool {
		return valueOf(t, s.metrics.notifications["unreadable"])+
			valueOf(t, s.metrics.notifications["gone"]) == 1
	})
	assert.Empty(t, sink.accepted())
}
