package function

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fiveAlerts is a notification of four usual alerts and one that is not.
func fiveAlerts(t *testing.T, strange string) event.Event {
	t.Helper()
	alerts := make([]string, 4, 5)
	for i := range alerts {
		alerts[i] = fmt.Sprintf(
			`{"status":"firing","labels":{"alertname":"ErrorLines","namespace":"shop","app":"a%d"},"startsAt":%q}`,
			i,
			time.Now().UTC().Format(time.RFC3339),
		)
	}
	ev := alertEvent(t, "", "firing")
	ev.SetID("five")
	ev.SetType("io.prometheus.alertmanager.notification.v1")
	require.NoError(
		t,
		ev.SetData(
			"application/json",
			json.RawMessage(`{"version":"4","alerts":[`+strings.Join(append(alerts, strange), ",")+`]}`),
		),
	)
	return ev
}

// TestAStrangeAlertTakesNoneWithIt: what can be used is folded, what cannot is counted and logged with the event's id.
func TestAStrangeAlertTakesNoneWithIt(t *testing.T) {
	const labels = `"labels":{"alertname":"ErrorLines","namespace":"shop","app":"a9"`
	for name, c := range map[string]struct {
		alert, reason string
		firing        int
	}{
		"a long label":      {`{"status":"firing",` + labels + `,"line":"` + strings.Repeat("x", 6000) + `"}}`, "", 5},
		"129 labels":        {`{"status":"firing",` + labels + manyLabels(129) + `}}`, "", 5},
		"number annotation": {`{"status":"firing",` + labels + `},"annotations":{"value":42}}`, "", 5},
		"long fingerprint":  {`{"status":"firing",` + labels + `},"fingerprint":"` + strings.Repeat("f", 64) + `"}`, "", 5},
		"no start":          {`{"status":"firing",` + labels + `}}`, "", 5},
		"end of a firing":   {`{"status":"firing",` + labels + `},"endsAt":"soon"}`, "", 5},
		"no status":         {`{` + labels + `}}`, "status", 4},
		"no labels":         {`{"status":"firing","labels":{}}`, "labels", 4},
		"no time":           {`{"status":"firing",` + labels + `},"startsAt":"soon"}`, "time", 4},
		"no object":         {`5`, "type", 4},
	} {
		t.Run(name, func(t *testing.T) {
			seen, lines := observer.New(zap.WarnLevel)
			f := New()
			f.log = zap.New(seen).Sugar()
			memory := startOn(t, f, "STORMFOLD_LOG_LEVEL", "warn")
			p := f.pod.Load()
			_, err := f.Handle(t.Context(), fiveAlerts(t, c.alert))
			require.Equal(t, http.StatusOK, code(t, err))
			left := lines.FilterMessage("alerts left out of an event").All()
			if c.reason == "" {
				require.Empty(t, left)
			} else {
				require.Len(t, left, 1)
				require.Equal(t, "five", left[0].ContextMap()["event"])
				require.Equal(t, c.reason, left[0].ContextMap()["reason"])
				require.Contains(t, left[0].ContextMap()["first"], "alerts[4]")
				require.InDelta(t, 1, valueOf(t, p.metrics.leftOut.WithLabelValues(c.reason)), 0)
			}
			require.NoError(t, f.Stop(t.Context()))
			list, err := memory.List(t.Context(), "stormfold", metav1.ListOptions{})
			require.NoError(t, err)
			firing := 0
			for _, incident := range list.Items {
				firing += int(incident.Status.Alerts.Firing)
			}
			require.Equal(t, c.firing, firing)
		})
	}
}

func manyLabels(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `,"l%03d":"x"`, i)
	}
	return out.String()
}
