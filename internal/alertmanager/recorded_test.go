package alertmanager_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/alertmanager"
)

// The model sends exactly the notifications that Alertmanager's own code sent: test/alertmanager recorded them, and
// describes the format.
func TestTheModelIsAlertmanager(t *testing.T) {
	file, err := os.Open("testdata/alertmanager.jsonl")
	require.NoError(t, err)
	defer file.Close()
	programs, reasons := json.NewDecoder(file), map[alertmanager.Reason]int{}
	for n := 0; ; n++ {
		var p struct{ Sent, Notified []string }
		err := programs.Decode(&p)
		if errors.Is(err, io.EOF) {
			require.Equal(t, 6, n)
			break
		}
		require.NoError(t, err)
		m := alertmanager.New(alertmanager.Shipped)
		for _, text := range p.Sent {
			var at, startsAt, endsAt int64
			var namespace, name string
			_, err := fmt.Sscan(text, &at, &namespace, &name, &startsAt, &endsAt)
			require.NoError(t, err, text)
			m.Receive(ms(at), alertmanager.Alert{
				Labels: map[string]string{"namespace": namespace, "alertname": name}, StartsAt: ms(startsAt), EndsAt: ms(endsAt),
			})
		}
		m.Advance(start.Add(30 * time.Hour))
		var got []string
		for _, n := range m.Notified {
			reasons[n.Reason]++
			var names []string
			for _, a := range n.Alerts {
				names = append(names, sign(a, n.At)+a.Labels["alertname"])
			}
			slices.Sort(names)
			got = append(got, fmt.Sprintf("%d %s %s: %s", n.At.Sub(start).Milliseconds(), n.GroupLabels["namespace"],
				strings.Join(names, " "), n.Reason))
		}
		slices.Sort(got)
		require.Equal(t, p.Notified, got, "program %d", n)
	}
	require.Len(t, reasons, 5, "each reason occurs")
}

func ms(n int64) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }

// sign is + while an alert fires and - when it is resolved.
func sign(a alertmanager.Alert, at time.Time) string {
	if a.Resolved(at) {
		return "-"
	}
	return "+"
}
