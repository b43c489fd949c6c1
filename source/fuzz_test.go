package source

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzDecode: no body crashes the decoder, an error is one sentence, and what is taken comes out of the chunks as it went
// in.
func FuzzDecode(f *testing.F) {
	good := aWebhook(many(3, 0)...)
	f.Add([]byte(good))
	f.Add([]byte(good[:len(good)/2]))
	f.Add([]byte(strings.ReplaceAll(good, ":", " :\n")))
	f.Add([]byte(strings.Replace(good, "web-0", `\ud800`, 1)))
	f.Add([]byte(`{"version":"4","version":"4","alerts":[` + anAlert(0, 0) + `],"alerts":[` + anAlert(1, 0) + `],"x":null,"":[{"<":1e999}]}`))
	f.Add([]byte(aWebhook(many(2, MaxChunk/2)...)))
	f.Add([]byte(`{"version":"4","alerts":[null]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := decode(body)
		if err != nil {
			require.NotEmpty(t, refuse(invalid, "%s", err).text)
			require.NotContains(t, refuse(invalid, "%s", err).text, "\n")
			return
		}
		head, err := n.head()
		if err != nil {
			return
		}
		require.NotEmpty(t, n.alerts)
		var out []string
		for i, chunk := range split(n.alerts, MaxChunk-len(head)-len(tail)) {
			data := document(head, chunk)
			require.True(t, json.Valid(data))
			require.True(t, len(data) <= MaxChunk || len(chunk) == 1)
			ev := newOrigin(&Settings{}, n, time.Unix(1772360130, 0)).event(i, data)
			require.NoError(t, ev.Validate())
			again, err := decode(data)
			require.NoError(t, err)
			require.Equal(t, n.groupKey, again.groupKey)
			for _, alert := range again.alerts {
				out = append(out, string(alert))
			}
		}
		var in []string
		for _, alert := range n.alerts {
			in = append(in, string(alert))
		}
		require.Equal(t, in, out)
	})
}
