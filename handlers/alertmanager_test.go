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

// refused is an event of which nothing can be used.
func refused(t *testing.T, eventType, data, want string) {
	t.Helper()
	got, err := Decode(incoming(eventType, []byte(data)), received)
	require.EqualError(t, err, want)
	require.Equal(t, Request{}, got, "nothing of it is applied")
	var invalid *Invalid
	require.ErrorAs(t, err, &invalid)
	wantReason := ReasonInvalid
	if strings.Contains(want, "where at most") {
		wantReason = ReasonTooLarge
	}
	require.Equal(t, wantReason, ReasonOf(err))
}

func TestInvalidNotifications(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"nothing", ``, `data: it is empty`},
		{"no JSON", `alerts`, `data: it is not JSON: invalid character 'a' looking for beginning of value at byte 1`},
		{"half of it", `{"alerts":[`, `data: it is not JSON: unexpected end of JSON input at byte 11`},
		{"something behind it", third(sound) + `{}`,
			`data: it is not JSON: invalid character '{' after top-level value at byte 270`},
		{"too large", `{"x":"` + strings.Repeat("x", 4<<20) + `"}`, `data: 4194312 bytes where at most 4194304 are allowed`},
		{"too deep", strings.Repeat("[", 65), `data: 65 levels of nesting or more where at most 64 are allowed`},
		{"a list", `[]`, `data: array where an object was expected`},
		{"a string", `"alerts"`, `data: string where an object was expected`},
		{"null", `null`, `alerts: there are none`},
		{"no alerts", `{"version":"4"}`, `alerts: there are none`},
		{"an empty list", `{"alerts":[]}`, `alerts: there are none`},
		{"alerts of another type", `{"alerts":{}}`, `alerts: object where a list was expected`},
		{"another version", `{"version":"3","alerts":[` + sound + `]}`, `version: "3" is neither "4" nor "1"`},
		{"an alert that is none", `{"alerts":[5,true]}`, `alerts[0]: number where an object was expected`},
		{"all of them", `{"alerts":[` + with("status", `"x"`) + `,` + with("labels", `{}`) + `]}`,
			`alerts[0].status: "x" is neither firing nor resolved`},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, TypeNotification, c.data, c.want) })
	}
	refused(t, TypeAlert, with("startsAt", `"yesterday"`), `startsAt: "yesterday" is not an RFC 3339 time`)
	refused(t, TypeAlert, with("labels", `[]`), `labels: array where an object of strings was expected`)
	refused(t, TypeAlert, `7`, `data: number where an object was expected`)
	refused(t, TypeAlert, "\"\xff\"", `data: it is not valid UTF-8`)
}

// TestAlertsThatAreLeftOut: what cannot be used costs its neighbours nothing.
func TestAlertsThatAreLeftOut(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, alert string
		reason      LeftOutReason
		want        string
	}{
		{"a number", `5`, LeftOutType, `alerts[2]: number where an object was expected`},
		{"null", `null`, LeftOutStatus, `alerts[2].status: "" is neither firing nor resolved`},
		{"no status", with("status", ``), LeftOutStatus, `alerts[2].status: "" is neither firing nor resolved`},
		{"another status", with("status", `"suppressed"`), LeftOutStatus,
			`alerts[2].status: "suppressed" is neither firing nor resolved`},
		{"status in capitals", with("status", `"Firing"`), LeftOutStatus,
			`alerts[2].status: "Firing" is neither firing nor resolved`},
		{"status of another type", with("status", `{"state":"active"}`), LeftOutStatus,
			`alerts[2].status: object where a string was expected`},
		{"a long text is cut", with("status", `"`+long+`"`), LeftOutStatus, `alerts[2].status: "` + long[:64] +
			`…" is neither firing nor resolved`},
		{"no labels", with("labels", ``), LeftOutLabels, `alerts[2].labels: there are none`},
		{"labels null", with("labels", `null`), LeftOutLabels, `alerts[2].labels: there are none`},
		{"empty labels only", with("labels", `{"a":"","b":null}`), LeftOutLabels, `alerts[2].labels: there are none`},
		{"names that cannot be used only", with("labels", `{"":"x","a\u0000":"b","`+long[:257]+`":"b"}`), LeftOutLabels,
			`alerts[2].labels: there are none`},
		{"labels of another type", with("labels", `7`), LeftOutLabels,
			`alerts[2].labels: number where an object of strings was expected`},
		{"a list of labels", with("labels", `["a"]`), LeftOutLabels,
			`alerts[2].labels: array where an object of strings was expected`},
		{"another start", with("startsAt", `"yesterday"`), LeftOutTime,
			`alerts[2].startsAt: "yesterday" is not an RFC 3339 time`},
		{"start of another type", with("startsAt", `1772360130`), LeftOutTime,
			`alerts[2].startsAt: number where a string was expected`},
		{"invalid UTF-8", strings.Replace(with("labels", `{"a":"?"}`), "?", "\xff", 1), LeftOutEncoding,
			`alerts[2]: it is not valid UTF-8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode(incoming(TypeNotification, []byte(third(c.alert))), received)
			require.NoError(t, err)
			require.Equal(t, []aggregator.Alert{decodeOne(t, sound)}, got.Batch.Alerts)
			require.Len(t, got.LeftOut, 1)
			require.Equal(t, c.reason, got.LeftOut[0].Reason)
			require.Equal(t, 1, got.LeftOut[0].Alerts)
			require.EqualError(t, got.LeftOut[0].First, c.want)
		})
	}
	data := `{"alerts":[` + sound + `,1,2,` + with("status", `"x"`) + strings.Repeat(`,{}`, 20) + `]}`
	got, err := Decode(incoming(TypeNotification, []byte(data)), received)
	require.NoError(t, err)
	require.Len(t, got.LeftOut, 2, "one entry for each reason")
	require.Equal(t, []int{2, 21}, []int{got.LeftOut[0].Alerts, got.LeftOut[1].Alerts})
	require.EqualError(t, got.LeftOut[1].First, `alerts[3].status: "x" is neither firing nor resolved`)
}

func TestMoreAlertsThanAreTaken(t *testing.T) {
	data := `{"alerts":[` + many(10003, `{"status":"firing","labels":{"a":"b"},"fingerprint":"%016x"}`) + `]}`
	got, err := Decode(incoming(TypeNotification, []byte(data)), received)
	require.NoError(t, err)
	require.Len(t, got.Batch.Alerts, MaxAlerts)
	require.True(t, got.Batch.Truncated)
	require.Equal(t, LeftOutTooMany, got.LeftOut[0].Reason)
	require.Equal(t, 3, got.LeftOut[0].Alerts)
	require.EqualError(t, got.LeftOut[0].First, `alerts: 10003 alerts where at most 10000 are allowed`)
}

// TestWhatIsTakenOfStrangeAlerts: what is not needed, or too long, costs no alert.
func TestWhatIsTakenOfStrangeAlerts(t *testing.T) {
	plain := decodeOne(t, sound)
	for _, c := range []struct{ name, field, value string }{
		{"annotation that is a number", "annotations", `{"value":42,"none":null}`},
		{"annotations that are none", "annotations", `"x"`},
		{"end that is none, while it fires", "endsAt", `"tomorrow"`},
		{"end that is a number", "endsAt", `7`},
		{"URL that is none", "generatorURL", `false`},
		{"fingerprint that is too short", "fingerprint", `"abc"`},
		{"fingerprint that is no hex", "fingerprint", `"1888a573c618f74g"`},
		{"fingerprint that is too long", "fingerprint", `"` + strings.Repeat("f", 64) + `"`},
		{"fingerprint that is a number", "fingerprint", `1888`},
		{"half of a surrogate pair in a field that is not read", "values", `"\ud800"`},
	} {
		got, err := Decode(incoming(TypeNotification, []byte(third(with(c.field, c.value)))), received)
		require.NoError(t, err, c.name)
		require.Empty(t, got.LeftOut, c.name)
		require.Len(t, got.Batch.Alerts, 1, c.name)
		one := decodeOne(t, with(c.field, c.value))
		require.Equal(t, plain.Fingerprint, one.Fingerprint, c.name)
		require.Equal(t, plain.Labels, one.Labels, c.name)
		require.Zero(t, one.EndsAt, c.name)
	}
	require.Equal(
		t,
		map[string]string{"value": "42", "on": "true"},
		decodeOne(t, with("annotations", `{"value":42,"on":true,"none":null}`)).Annotations,
	)
	require.Equal(
		t,
		map[string]string{"a": "b", "n": "7.50", "o": `{"c":[1]}`},
		decodeOne(t, with("labels", `{"a":"b","n":7.50,"o":{"c":[1]},"none":null}`)).Labels,
	)
	for _, start := range []string{``, `null`, `""`, `"0001-01-01T00:00:00Z"`, `"1970-01-01T00:00:00Z"`} {
		require.Equal(t, heard, decodeOne(t, with("startsAt", start)).StartsAt, "the event's time: "+start)
	}
	over := strings.Replace(with("endsAt", `"tomorrow"`), "firing", "resolved", 1)
	require.Zero(t, decodeOne(t, over).EndsAt, "an end that nobody knows")
	for version, truncated := range map[string]string{`"1"`: `1`, `"4"`: `0.5`, `4`: `"3"`, `null`: `7`} {
		got, err := Decode(
			incoming(
				TypeNotification,
				[]byte(`{"version":`+version+`,"truncatedAlerts":`+truncated+`,"groupKey":"g","alerts":[`+sound+`]}`),
			),
			received,
		)
		require.NoError(t, err)
		require.True(t, got.Batch.Truncated)
		require.Equal(t, "cd0aa9856147b6c5", got.Batch.GroupKey)
	}
}

func TestLabelsThatAreCut(t *testing.T) {
	long := strings.Repeat("é", 3000)
	got := decodeOne(t, with("labels", `{"alertname":"A","line":"`+long+`1"}`))
	require.Equal(t, strings.Repeat("é", 2048), got.Labels["line"], "cut between two runes")
	other := decodeOne(t, with("labels", `{"alertname":"A","line":"`+long+`2"}`))
	require.Equal(t, got.Labels, other.Labels)
	require.NotEqual(t, got.Fingerprint, other.Fingerprint, "two alerts that differ behind the cut stay two")

	got = decodeOne(
		t,
		with("labels", `{`+many(200, `"a%03d":"x"`)+`,"severity":"page","pod":"p","zone":"z","alertname":"A"}`),
	)
	require.Len(t, got.Labels, MaxLabels)
	for _, name := range []string{"alertname", "severity", "pod", "a000", "a124"} {
		require.Contains(t, got.Labels, name)
	}
	require.NotContains(t, got.Labels, "a125")
	require.NotContains(t, got.Labels, "zone")
	require.Equal(
		t,
		"0123456789abcdef",
		decodeOne(
			t,
			strings.Replace(with("labels", `{"a":"`+long+`"}`), `{`, `{"fingerprint":"0123456789abcdef",`, 1),
		).Fingerprint,
		"the one that was sent stays",
	)

	got = decodeOne(t, with("labels", `{"alertname":"A","":"x","a\u0000":"b","`+strings.Repeat("n", 257)+`":"b"}`))
	require.Equal(t, map[string]string{"alertname": "A"}, got.Labels)
	require.NotEqual(t, decodeOne(t, sound).Fingerprint, got.Fingerprint)
}

func decodeOne(t *testing.T, data string) aggregator.Alert {
	t.Helper()
	got, err := Decode(incoming(TypeAlert, []byte(data)), received)
	require.NoError(t, err)
	require.Len(t, got.Batch.Alerts, 1)
	return got.Batch.Alerts[0]
}

func TestFingerprints(t *testing.T) {
	require.Equal(
		t,
		"0123456789abcdef",
		decodeOne(t, with("fingerprint", `"0123456789ABCDEF"`)).Fingerprint,
		"the fingerprint that was sent",
	)
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
	require.Equal(
		t,
		decodeOne(t, sound),
		decodeOne(t, with("someNewField", `{"deep":[1,2,{}]}`)),
		"unknown fields are ignored",
	)

	url := decodeOne(t, with("generatorURL", `"http://x/`+strings.Repeat("é", 2000)+`"`)).GeneratorURL
	require.Equal(t, "http://x/"+strings.Repeat("é", 1019), url, "cut between two runes")

	annotations := `{"z1":"` + strings.Repeat(
		"€",
		2000,
	) + `","summary":"s","runbook_url":"r","none":"",` + many(
		70,
		`"a%02d":"x"`,
	) + `}`
	got := decodeOne(t, with("annotations", annotations)).Annotations
	require.Len(t, got, 64)
	require.Equal(t, "s", got["summary"])
	require.Equal(t, "r", got["runbook_url"])
	require.Equal(t, "x", got["a61"])
	require.NotContains(t, got, "a62")
	require.Equal(
		t,
		strings.Repeat("€", 1365),
		decodeOne(t, with("annotations", `{"z1":"`+strings.Repeat("€", 2000)+`"}`)).Annotations["z1"],
	)
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
