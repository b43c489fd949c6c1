package replay

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
)

const (
	firingAlert = `{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-05-01T03:00:01.2345Z"}`
	endedAlert  = `{"status":"resolved","labels":{"alertname":"A"},"startsAt":"2026-05-01T03:00:01Z","endsAt":"2026-05-01T03:00:09Z"}`
)

// Every shape of a document, and the time that each one counts as sent at.
func TestRead(t *testing.T) {
	at := func(ms int) time.Time { return time.Date(2026, 5, 1, 3, 0, 0, ms*1e6, time.UTC) }
	for name, c := range map[string]struct {
		document string
		want     time.Time
	}{
		"a webhook counts from its latest start": {`{"alerts":[` + firingAlert + `]}`, at(1234)},
		"or from its latest end": {`{"version":"4","alerts":[` + firingAlert + `,` + endedAlert + `]}`,
			at(9000)},
		"a firing alert's end is no time": {`{"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"2026-05-01T03:00:02Z","endsAt":"2026-05-01T03:05:00Z"}]}`, at(2000)},
		"an alert":                        {endedAlert, at(9000)},
		"a webhook with a time": {`{"time":"2026-05-01T05:00:20+02:00","data":{"alerts":[` + firingAlert +
			`]}}`, at(20000)},
		"an alert with a time":                     {`{"time":"2026-05-01T03:00:21Z","data":` + firingAlert + `}`, at(21000)},
		"a wrapper without one":                    {`{"data":` + firingAlert + `}`, at(1234)},
		"a CloudEvent":                             {`{"specversion":"1.0","id":"1","source":"/s","type":"io.prometheus.alertmanager.alert.v1","time":"2026-05-01T03:00:22Z","data":` + firingAlert + `}`, at(22000)},
		"a CloudEvent that arrived before":         {`{"specversion":"1.0","id":"1","source":"/s","type":"io.prometheus.alertmanager.alert.v1","time":"2026-05-01T03:00:22Z","knativearrivaltime":"2026-05-01T03:00:21Z","data":` + firingAlert + `}`, at(21000)},
		"a CloudEvent without a time":              {`{"specversion":"1.0","id":"1","source":"/s","type":"io.prometheus.alertmanager.alert.v1","data":` + endedAlert + `}`, at(9000)},
		"an event that has nothing for us is left": {`{"specversion":"1.0","id":"1","source":"/s","type":"dev.knative.sources.ping","data":{}} ` + endedAlert, at(9000)},
	} {
		got, err := Read("it", []byte(c.document))
		require.NoError(t, err, name)
		require.Len(t, got, 1, name)
		require.Equal(t, c.want, got[0].At, name)
		for _, a := range got[0].Batch.Alerts {
			require.Equal(t, c.want, a.NotifiedAt, name)
		}
	}
}

// Documents stand one a line, one behind the other, or over many lines; all of the recordings are read.
func TestReadDocumentsHoweverTheyStand(t *testing.T) {
	got, err := Read("it", []byte("\n"+firingAlert+endedAlert+"\r\n\n{\n  \"alerts\": [\n"+firingAlert+"]}\n"))
	require.NoError(t, err)
	require.Len(t, got, 3)
	for file, want := range map[string]int{"rollout.jsonl": 5, "node-down.json": 6, "flapping.jsonl": 10} {
		require.Len(t, recording(t, file), want, file)
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	for content, want := range map[string]string{
		"":                                       `it: there is no alert in it`,
		" \n\t":                                  `it: there is no alert in it`,
		"level=info":                             `it:1: it is not JSON: invalid character 'l' looking for beginning of value`,
		`{"alerts":[`:                            `it:1: it is not JSON: unexpected EOF`,
		`[` + firingAlert + `]`:                  `it:1: it is not an object; of a list write the elements one after the other, as jq -c '.[]' does`,
		`"x"`:                                    `it:1: it is not an object`,
		firingAlert + "\n" + `{"version":"4"}`:   `it:2: it has neither alerts, as a webhook has, nor labels, as an alert, nor data, as an event`,
		firingAlert + "\n\n\n" + `{"alerts":[]}`: `it:4: alerts: there are none`,
		`{"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"yesterday"}]}`: `it:1: alerts[0].startsAt: "yesterday" is not an RFC 3339 time`,
		`{"status":"active","labels":{"a":"b"},"startsAt":"2026-05-01T03:00:00Z"}`:   `it:1: status: "active" is neither firing nor resolved`,
		`{"status":{"state":"active"},"labels":{"a":"b"}}`:                           `it:1: status: object where a string was expected`,
		`{"time":"noon","data":` + firingAlert +
			`}`: `it:1: time: "noon" is not an RFC 3339 time`,
		`{"time":7,"data":` + firingAlert +
			`}`: `it:1: time: 7 is not an RFC 3339 time`,
		`{"data":[]}`: `it:1: data: it is not an object`,
		`{"data":{}}`: `it:1: it has neither alerts`,
		`{"version":"5","alerts":[` + firingAlert +
			`]}`: `it:1: version: "5" is neither "4" nor "1"`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"other","data":` + firingAlert +
			`}`: `it:1: type: "other" is not a supported event type`,
		`{"specversion":"9","id":"1","source":"/s","type":"other"}`: `it:1: it is not a CloudEvent: `,
	} {
		got, err := Read("it", []byte(content))
		require.ErrorContains(t, err, want, content)
		require.NotContains(t, err.Error(), "\n")
		require.Nil(t, got, "nothing of a recording that is wrong is taken")
	}
	got, err := Read(
		"it",
		[]byte(`{"alerts":[`+firingAlert+`,{"status":"firing","labels":{"a":"b"}},{"status":"firing"}]}`),
	)
	require.NoError(t, err)
	require.Len(t, got[0].Batch.Alerts, 2, "what cannot be used is left out, as the function does")
	require.Equal(t, got[0].At, got[0].Batch.Alerts[1].StartsAt)
	_, err = Read("it", []byte(`{"status":"firing","labels":{"a":"b"}}`))
	require.EqualError(t, err, "it:1: time: neither the event nor an alert of it has one")
}

// recording reads one of the project's recordings.
func recording(t testing.TB, file string) []Notification {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../docs/recordings", file))
	require.NoError(t, err)
	out, err := Read(file, content)
	require.NoError(t, err)
	return out
}

// notification is one with an alert for each pod, all of one group.
func notification(t testing.TB, at time.Time, status aggregator.Status, pods ...string) Notification {
	t.Helper()
	n := Notification{At: at}
	for _, pod := range pods {
		document := `{"status":"` + string(
			status,
		) + `","labels":{"alertname":"PodDown","namespace":"shop","pod":"` + pod + `"},"startsAt":"` +
			at.Format(
				time.RFC3339,
			) + `","endsAt":"` + at.Format(
			time.RFC3339,
		) + `"}`
		read, err := Read("it", []byte(`{"time":"`+at.Format(time.RFC3339Nano)+`","data":`+document+`}`))
		require.NoError(t, err)
		n.Batch.Alerts = append(n.Batch.Alerts, read[0].Batch.Alerts...)
	}
	return n
}
