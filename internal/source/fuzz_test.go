package source

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzDecode: no body crashes the decoder, an error is one sentence, and what is taken comes out of the chunks as it
// went in.
func FuzzDecode(f *testing.F) {
	good := aWebhook(many(3, 0)...)
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)/2]))
	f.Add([]byte(strings.ReplaceAll(good, ":", " :\n")))
	f.Add([]byte(strings.Replace(good, "web-0", `\ud800`, 1)))
	f.Add(
		[]byte(
			`{"version":"4","version":"4","alerts":[` + anAlert(
				0,
				0,
			) + `],"alerts":[` + anAlert(
				1,
				0,
			) + `],"x":null,"":[{"<":1e999}]}`,
		),
	)
	f.Add([]byte(aWebhook(many(2, MaxChunk/2)...)))
	f.Add([]byte(`{"version":"4","alerts":[null]}`))
	f.Add([]byte(aWebhook("1", anAlert(0, 0), "{}", "\"\xff\"")))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := decode(bytes.NewReader(body))
		if err != nil {
			require.NotEmpty(t, refuse(invalid, "%s", err).text)
			require.NotContains(t, refuse(invalid, "%s", err).text, "\n")
			return
		}
		head, err := n.head()
		if err != nil {
			return
		}
		require.Positive(t, n.alerts)
		in, out, events := usable(t, body), []string(nil), 0
		require.Len(t, in, n.alerts)
		deal := &chunks{head: head, send: func(data []byte, alerts int) error {
			require.True(t, json.Valid(data))
			require.True(t, len(data) <= MaxChunk || alerts == 1)
			require.NoError(t, newOrigin(&Settings{}, n, time.Unix(1772360130, 0), period{}).event(events, data).Validate())
			again, err := decode(bytes.NewReader(data))
			require.NoError(t, err)
			require.Equal(t, n.groupKey, again.groupKey)
			require.Equal(t, alerts, again.alerts)
			out = append(out, usable(t, data)...)
			events++
			return nil
		}}
		for _, alert := range in {
			require.NoError(t, deal.add(json.RawMessage(alert)))
		}
		require.NoError(t, deal.flush())
		require.Equal(t, in, out)
	})
}

// usable are the alerts of a document that are sent.
func usable(t *testing.T, document []byte) (out []string) {
	t.Helper()
	require.NoError(
		t,
		walk(
			bytes.NewReader(document),
			func(string, json.RawMessage) error { return nil },
			func(alert json.RawMessage) error {
				if _, flaw := checkAlert(alert); flaw == none {
					out = append(out, string(alert))
				}
				return nil
			},
		),
	)
	return out
}
