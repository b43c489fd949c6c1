package handlers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What the fast decoder takes, encoding/json takes with the same result: whatever is done to a document.
func TestTheFastDecoderAgreesWithEncodingJSON(t *testing.T) {
	var documents []string
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		documents = append(documents, string(data))
	}
	pieces := []string{
		`null`, `""`, `"alerts"`, `"ALERTS":`, `"starts_at":"x",`, `"StartsAt":"x",`, `"labels":{"a":"b"},`, `{}`, `[]`, `1`,
		`1.0`, `1e3`, `-0`, `9223372036854775808`,
		`"\ud800"`, `"\ud83d\ude00"`, `"\u0000"`, "\xff", `{"a":{"a":"b"}}`, `,`, `:`, `"`, `\`, `}`, `]`, `true`, "\u2028",
		`"fingerprint":7,`, `"ſtatus":"firing",`,
	}
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(documents).Draw(t, "document")
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(d)).Draw(t, "at")
			if rapid.Bool().Draw(t, "before a name") {
				at += strings.Index(d[at:]+`"`, `"`)
			}
			end := min(len(d), at+rapid.IntRange(0, 4).Draw(t, "cut"))
			d = d[:at] + rapid.SampledFrom(pieces).Draw(t, "piece") + d[end:]
		}
		agree := func(fast, slow any) {
			if unmarshalStrict([]byte(d), fast) {
				taken++
				if err := json.Unmarshal([]byte(d), slow); err != nil {
					t.Fatalf("only the fast one takes it: %v\n%s", err, d)
				}
				require.Equal(t, slow, fast, d)
			} else {
				refused++
			}
		}
		agree(&notification{}, &notification{})
		agree(&alert{}, &alert{})
		agree(&kubeEvent{}, &kubeEvent{})
	})
	require.Greater(t, taken, 20)
	require.Greater(t, refused, 20)
}

// What the fast decoder refuses and encoding/json takes is taken, as before.
func TestWhatOnlyEncodingJSONTakes(t *testing.T) {
	for name, d := range map[string]string{
		"a name twice":      strings.Replace(sound, `"labels":`, `"labels":{"twice":"yes"},"labels":`, 1),
		"half of a pair":    strings.Replace(sound, `"labels":{`, `"labels":{"half":"\ud800",`, 1),
		"two cases at once": strings.Replace(sound, `"labels":`, `"LABELS":{"twice":"yes"},"labels":`, 1),
	} {
		require.NotEqual(t, sound, d, name)
		require.False(t, unmarshalStrict([]byte(d), &alert{}), name)
		var a alert
		require.Nil(t, a.read([]byte(d)), name)
		require.NotEmpty(t, a.Labels["alertname"], name)
	}
}
