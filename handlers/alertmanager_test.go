package handlers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
)

const sound = `{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-03-01T10:15:30Z"}`

// with is the sound alert with one field replaced or added.
func with(field, value string) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(sound), &fields); err != nil {
		panic(err)
	}
	fields[field] = json.RawMessage(value)
	if value == "" {
		delete(fields, field)
	}
	out, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// third is a notification whose third alert is the one given.
func third(alert string) string {
	return `{"version":"4","alerts":[` + sound + `,` + sound + `,` + alert + `]}`
}

func many(n int, format string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(parts, ",")
}

func TestInvalidNotifications(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ name, data, want string }{
		{"nothing", ``, `data: it is empty`},
		{"no JSON", `alerts`, `data: it is not JSON: invalid character 'a' looking for beginning of value at byte 1`},
		{"half of it", `{"alerts":[`, `data: it is not JSON: unexpected end of JSON input at byte 11`},
		{"something behind it", third(sound) + `{}`, `data: it is not JSON: invalid character '{' after top-level value at byte 270`},
		{"invalid UTF-8", third(with("labels", "{\"a\":\"?\"}"))[:20] + "\xff\"}", `data: it is not valid UTF-8`},
		{"too large", `{"x":"` + strings.Repeat("x", 4<<20) + `"}`, `data: 4194312 bytes where at most 4194304 are allowed`},
		{"too deep", strings.Repeat("[", 65), `data: 65 levels of nesting or more where at most 64 are allowed`},
		{"a list", `[]`, `data: array where an object was expected`},
		{"a string", `"alerts"`, `data: string where an object was expected`},
		{"null", `null`, `alerts: there are none`},
		{"no alerts", `{"version":"4"}`, `alerts: there are none`},
		{"an empty list", `{"alerts":[]}`, `alerts: there are none`},
		{"alerts of another type", `{"alerts":{}}`, `alerts: object where a list was expected`},
		{"another version", `{"version":"3","alerts":[` + sound + `]}`, `version: "3" is not "4"`},
		{"version as a number", `{"version":4,"alerts":[` + sound + `]}`, `version: number where a string was expected`},
		{"half an alert truncated", `{"truncatedAlerts":0.5,"alerts":[` + sound + `]}`, `truncatedAlerts: number 0.5 where a whole number was expected`},
		{"too many alerts", `{"alerts":[` + many(10001, `{"fingerprint":"%016x"}`) + `]}`, `alerts: 10001 alerts where at most 10000 are allowed`},

		{"an alert that is none", third(`5`), `alerts[2]: number where an object was expected`},
		{"an alert that is null", third(`null`), `alerts[2].status: "" is neither firing nor resolved`},
		{"no status", third(with("status", ``)), `alerts[2].status: "" is neither firing nor resolved`},
		{"another status", third(with("status", `"suppressed"`)), `alerts[2].status: "suppressed" is neither firing nor resolved`},
		{"status in capitals", third(with("status", `"Firing"`)), `alerts[2].status: "Firing" is neither firing nor resolved`},
		{"status of another type", third(with("status", `true`)), `alerts[2].status: bool where a string was expected`},
		{"no labels", third(with("labels", ``)), `alerts[2].labels: there are none`},
		{"labels null", third(with("labels", `null`)), `alerts[2].labels: there are none`},
		{"empty labels only", third(with("labels", `{"a":"","b":null}`)), `alerts[2].labels: there are none`},
		{"labels of another type", third(with("labels", `7`)), `alerts[2].labels: number where an object of strings was expected`},
		{"a list of labels", third(with("labels", `["a"]`)), `alerts[2].labels: array where an object of strings was expected`},
		{"a number as a label", third(with("labels", `{"a":"b","pod.x":7}`)), `alerts[2].labels["pod.x"]: number where a string was expected`},
		{"an object as a label", third(with("labels", `{"a":{"b":"c"}}`)), `alerts[2].labels["a"]: object where a string was expected`},
		{"a label without a name", third(with("labels", `{"":"b"}`)), `alerts[2].labels[""]: a label needs a name`},
		{"a long name", third(with("labels", `{"`+long[:257]+`":"b"}`)), `alerts[2].labels["` + long[:64] + `…"]: 257 bytes of name where at most 256 are allowed`},
		{"a control character in a name", third(with("labels", `{"a\u0000":"b"}`)), `alerts[2].labels["a\x00"]: the name has a control character`},
		{"a long value", third(with("labels", `{"a":"`+long[:4097]+`"}`)), `alerts[2].labels["a"]: 4097 bytes where at most 4096 are allowed`},
		{"the first of two bad labels", third(with("labels", `{"c":"`+long+`","b":"`+long+`"}`)), `alerts[2].labels["b"]: 5000 bytes where at most 4096 are allowed`},
		{"too many labels", third(with("labels", `{`+many(129, `"l%d":"x"`)+`}`)), `alerts[2].labels: 129 labels where at most 128 are allowed`},
		{"no start", third(with("startsAt", ``)), `alerts[2].startsAt: it is missing`},
		{"another start", third(with("startsAt", `"yesterday"`)), `alerts[2].startsAt: "yesterday" is not an RFC 3339 time`},
		{"the zero start", third(with("startsAt", `"0001-01-01T00:00:00Z"`)), `alerts[2].startsAt: "0001-01-01T00:00:00Z" is not a time at which an alert starts`},
		{"the first moment of 1970", third(with("startsAt", `"1970-01-01T00:00:00Z"`)), `alerts[2].startsAt: "1970-01-01T00:00:00Z" is not a time at which an alert starts`},
		{"start of another type", third(with("startsAt", `1772360130`)), `alerts[2].startsAt: number where a string was expected`},
		{"another end", third(with("endsAt", `"tomorrow"`)), `alerts[2].endsAt: "tomorrow" is not an RFC 3339 time`},
		{"a short fingerprint", third(with("fingerprint", `"abc"`)), `alerts[2].fingerprint: "abc" is not 16 hex digits`},
		{"no hex", third(with("fingerprint", `"1888a573c618f74g"`)), `alerts[2].fingerprint: "1888a573c618f74g" is not 16 hex digits`},
		{"annotation of another type", third(with("annotations", `{"summary":[]}`)), `alerts[2].annotations["summary"]: array where a string was expected`},
		{"a long text is cut", third(with("status", `"`+long+`"`)), `alerts[2].status: "` + long[:64] + `…" is neither firing nor resolved`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode(incoming(TypeNotification, []byte(c.data)), received)
			require.EqualError(t, err, c.want)
			require.Equal(t, Request{}, got, "nothing of it is applied")
			var invalid *Invalid
			require.ErrorAs(t, err, &invalid)
			wantReason := ReasonInvalid
			if strings.Contains(c.want, "where at most") {
				wantReason = ReasonTooLarge
			}
			require.Equal(t, wantReason, ReasonOf(err))
		})
	}
	_, err := Decode(incoming(TypeAlert, []byte(with("startsAt", `"yesterday"`))), received)
	require.EqualError(t, err, `startsAt: "yesterday" is not an RFC 3339 time`)
	_, err = Decode(incoming(TypeAlert, []byte(with("labels", `{"a":1}`))), received)
	require.EqualError(t, err, `labels["a"]: number where a string was expected`)
}

func decodeOne(t *testing.T, data string) aggregator.Alert {
	t.Helper()
	got, err := Decode(incoming(TypeAlert, []byte(data)), received)
	require.NoError(t, err)
	require.Len(t, got.Batch.Alerts, 1)
	return got.Batch.Alerts[0]
}

func TestFingerprints(t *testing.T) {
	require.Equal(t, "0123456789abcdef", decodeOne(t, with("fingerprint", `"0123456789ABCDEF"`)).Fingerprint, "what the sender says")
	plain := decodeOne(t, sound)
	require.Len(t, plain.Fingerprint, 16)
	empty := decodeOne(t, with("labels", `{"alertname":"A","pod":""}`))
	require.Equal(t, plain.Fingerprint, empty.Fingerprint, "an empty label equals an absent one")
	require.Equal(t, map[string]string{"alertname": "A"}, empty.Labels)
}

func TestWhatIsKeptOfAnAlert(t *testing.T) {
	const far = `"2026-03-02T10:15:30+02:00"`
	require.Zero(t, decodeOne(t, with("endsAt", far)).EndsAt, "a firing alert has no end")
	resolved := strings.Replace(with("endsAt", far), "firing", "resolved", 1)
	require.Equal(t, "2026-03-02T08:15:30Z", decodeOne(t, resolved).EndsAt.Format("2006-01-02T15:04:05Z07:00"))
	require.Zero(t, decodeOne(t, with("status", `"resolved"`)).EndsAt, "an end that nobody knows")
	require.Equal(t, "a\x00b\n", decodeOne(t, with("labels", `{"a":"a\u0000b\n"}`)).Labels["a"])
	require.Equal(t, "x", decodeOne(t, with("labels", `{"näme.with dots":"x"}`)).Labels["näme.with dots"])
	require.Equal(t, decodeOne(t, sound), decodeOne(t, with("someNewField", `{"deep":[1,2,{}]}`)), "unknown fields are ignored")

	url := decodeOne(t, with("generatorURL", `"http://x/`+strings.Repeat("é", 2000)+`"`)).GeneratorURL
	require.Equal(t, "http://x/"+strings.Repeat("é", 1019), url, "cut between two runes")

	annotations := `{"z1":"` + strings.Repeat("€", 2000) + `","summary":"s","runbook_url":"r","none":"",` + many(70, `"a%02d":"x"`) + `}`
	got := decodeOne(t, with("annotations", annotations)).Annotations
	require.Len(t, got, 64)
	require.Equal(t, "s", got["summary"])
	require.Equal(t, "r", got["runbook_url"])
	require.Equal(t, "x", got["a61"])
	require.NotContains(t, got, "a62")
	require.Equal(t, strings.Repeat("€", 1365), decodeOne(t, with("annotations", `{"z1":"`+strings.Repeat("€", 2000)+`"}`)).Annotations["z1"])
}

func TestTheSameAlertTwice(t *testing.T) {
	early, end := with("startsAt", `"2026-03-01T09:00:00Z"`), with("status", `"resolved"`)
	other := with("labels", `{"alertname":"B"}`)
	for name, c := range map[string]struct {
		alerts string
		status aggregator.Status
		hour   int
	}{
		"firing twice":         {sound + "," + other + "," + early, aggregator.Firing, 9},
		"firing, resolved":     {early + "," + other + "," + end, aggregator.Resolved, 10},
		"resolved, firing":     {end + "," + other + "," + early, aggregator.Resolved, 10},
		"resolved in between":  {sound + "," + end + "," + early + "," + other, aggregator.Resolved, 10},
		"firing, early before": {early + "," + sound + "," + other, aggregator.Firing, 9},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(incoming(TypeNotification, []byte(`{"alerts":[`+c.alerts+`]}`)), received)
			require.NoError(t, err)
			require.Len(t, got.Batch.Alerts, 2)
			require.Equal(t, "A", got.Batch.Alerts[0].Labels["alertname"])
			require.Equal(t, c.status, got.Batch.Alerts[0].Status)
			require.Equal(t, c.hour, got.Batch.Alerts[0].StartsAt.Hour())
			require.Equal(t, "B", got.Batch.Alerts[1].Labels["alertname"])
		})
	}
}
