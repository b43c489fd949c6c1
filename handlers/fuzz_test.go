package handlers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
)

// FuzzDecode: no data crashes the decoder, what it refuses is an *Invalid of one line, and what it takes keeps all
// limits and comes out the same again.
func FuzzDecode(f *testing.F) {
	types := []string{TypeNotification, TypeAlert, TypeResourceAdd}
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		for i := range types {
			f.Add(uint8(i), data, "")
		}
	}
	f.Add(uint8(1), []byte(sound), "2026-03-01T10:17:00Z")
	f.Add(uint8(0), []byte(third(with("labels", `{"a":[]}`))), "soon")
	f.Add(uint8(0), []byte(sound), strings.Repeat("\x80", 65))
	f.Add(uint8(0), []byte(`{"alerts":[{"labels":{"\ud800":"\ud800"}}]}`), "")
	f.Fuzz(func(t *testing.T, kind uint8, data []byte, arrival string) {
		ev := incoming(types[int(kind)%len(types)], data)
		if arrival != "" {
			ev.SetExtension("knativearrivaltime", arrival)
		}
		got, err := Decode(ev, received)
		if err != nil {
			var invalid *Invalid
			require.True(t, errors.As(err, &invalid))
			require.NotEmpty(t, invalid.Field)
			require.NotEmpty(t, invalid.Problem)
			require.Equal(t, Request{}, got)
			return
		}
		again, err := Decode(ev, received.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, got, again, "the time of receipt does not matter")
		if got.Kind == Ignore {
			require.Empty(t, got.Batch)
			return
		}
		require.Equal(t, Alerts, got.Kind)
		require.LessOrEqual(t, len(got.Batch.Alerts), MaxAlerts)
		require.NotEmpty(t, got.Batch.Alerts)
		seen := map[string]bool{}
		for _, a := range got.Batch.Alerts {
			checkLimits(t, a)
			require.False(t, a.NotifiedAt.IsZero() || a.NotifiedAt.After(got.NotifiedAt))
			require.False(t, seen[a.Fingerprint])
			seen[a.Fingerprint] = true
		}
	})
}

func checkLimits(t *testing.T, a aggregator.Alert) {
	t.Helper()
	require.Regexp(t, "^[0-9a-f]{16}$", a.Fingerprint)
	require.Contains(t, []aggregator.Status{aggregator.Firing, aggregator.Resolved}, a.Status)
	require.Positive(t, a.StartsAt.Unix())
	require.True(t, a.EndsAt.IsZero() || a.Status == aggregator.Resolved)
	require.NotEmpty(t, a.Labels)
	require.LessOrEqual(t, len(a.Labels), MaxLabels)
	for name, value := range a.Labels {
		require.True(t, name != "" && len(name) <= MaxLabelName && utf8.ValidString(name) && !hasControl(name))
		require.True(t, value != "" && len(value) <= MaxLabelValue && utf8.ValidString(value))
	}
	require.LessOrEqual(t, len(a.Annotations), MaxAnnotations)
	for _, value := range a.Annotations {
		require.True(t, len(value) <= MaxAnnotation && utf8.ValidString(value))
	}
	require.True(t, len(a.GeneratorURL) <= MaxGeneratorURL && utf8.ValidString(a.GeneratorURL))
	require.Zero(t, a.NotifiedAt.Nanosecond()%int(time.Millisecond))
}

func BenchmarkDecode(b *testing.B) {
	one := `{"status":"firing","labels":{"alertname":"KubePodCrashLooping","namespace":"shop","pod":"cart-%d","severity":"critical","job":"kube-state-metrics"},` +
		`"annotations":{"summary":"Pod is crash looping","runbook_url":"https://runbooks.example/x"},"startsAt":"2026-03-01T10:15:30.123Z",` +
		`"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example:9090/graph"%s}`
	for _, n := range []int{1, 100} {
		for _, given := range []bool{true, false} {
			alerts := make([]string, n)
			for i := range alerts {
				field := ""
				if given {
					field = fmt.Sprintf(`,"fingerprint":"%016x"`, i)
				}
				alerts[i] = fmt.Sprintf(one, i, field)
			}
			ev := incoming(TypeNotification, []byte(`{"version":"4","alerts":[`+strings.Join(alerts, ",")+`]}`))
			b.Run(fmt.Sprintf("alerts=%d/fingerprint=%t", n, given), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(ev.Data())))
				for b.Loop() {
					if _, err := Decode(ev, received); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
