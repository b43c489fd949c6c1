package cases

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/internal/alertmanager"
	"github.com/stormfold/stormfold/internal/replay"
)

// event is a CloudEvent with one alert.
func event(arrives time.Duration, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/case","type":%q,"time":%q,%s}`,
		handlers.TypeAlert, at(arrives), data)
}

// The least that the documentation calls an alert has no startsAt: it began when the event says.
func TestCaseTheSmallestAlert(t *testing.T) {
	o := play(t, config.Default(), event(0,
		`"data":{"status":"firing","labels":{"alertname":"DiskFull","namespace":"shop","pod":"db-0","severity":"warning"}}`))
	require.Equal(t, noon, o.only(t).Status.StartedAt.UTC())
}

// One alert of five is unusual. The four others are taken, and so is the fifth where it can be.
func TestCaseOneUnusualAlert(t *testing.T) {
	var good, documents []string
	for n := range 4 {
		good = append(good, fmt.Sprint("alertname=ErrorLines namespace=shop severity=warning app=a", n))
		documents = append(documents, fires(good[n], 0))
	}
	const odd = "alertname=ErrorLines namespace=shop app=odd"
	many, long := labels(odd), labels(odd)
	for n := range 126 {
		many[fmt.Sprint("l", n)] = "v"
	}
	long["query"] = strings.Repeat("x", 5000)
	// field is the odd alert with one more field, or another value of one that it has.
	field := func(name, value string) string {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(fires(odd, 0)), &fields))
		fields[name] = json.RawMessage(value)
		return mustJSON(fields)
	}
	for name, c := range map[string]struct {
		alert string
		taken int32
	}{
		"a label of 5,000 bytes": {
			strings.Replace(alertOf("firing", long, 0, 0), "{", `{"fingerprint":"`+alertmanager.Fingerprint(long)+`",`, 1), 5,
		},
		"129 labels":                     {alertOf("firing", many, 0, 0), 0},
		"an annotation that is a number": {field("annotations", `{"value":42}`), 0},
		"a fingerprint that is none":     {field("fingerprint", `"`+strings.Repeat("f", 64)+`"`), 0},
		"no labels":                      {field("labels", `{}`), 4},
		"a status that is none":          {field("status", `"active"`), 4},
		"an invalid start":               {field("startsAt", `"yesterday"`), 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := play(t, policies(t, together), sent(0, append([]string{c.alert}, documents...)...))
			for _, text := range good {
				require.True(t, o.holds(t, text), text)
			}
			total := o.only(t).Status.Alerts.Total
			if c.taken > 0 {
				require.Equal(t, c.taken, total)
			}
			require.Contains(t, []int32{4, 5}, total)
		})
	}
}

// Grafana's own webhook says that its version is 1. Its alerts are taken, or the documentation says what to do.
func TestCaseGrafana(t *testing.T) {
	document := func(version string) string {
		return `{"receiver":"","status":"firing","orgId":1,"title":"[FIRING:1]","state":"alerting","message":"x",
			"version":"` + version + `","groupKey":"{}:{}","truncatedAlerts":0,
			"alerts":[{"status":"firing","labels":{"alertname":"TestAlert","instance":"Grafana"},
			"annotations":{"summary":"Notification test"},"startsAt":"2026-04-20T14:00:00.926+02:00",
			"endsAt":"0001-01-01T00:00:00Z","generatorURL":"?orgId=1",
			"fingerprint":"57c6d9296de2ad39","silenceURL":"http://grafana.example/silence","dashboardURL":"",
			"panelURL":"","values":{"B":22,"C":1},
			"valueString":"[ var='B' labels={} value=22 ]","orgId":1}]}`
	}
	require.EqualValues(t, 1, play(t, config.Default(), document("4")).only(t).Status.Alerts.Total)
	if _, err := replay.Read("case", []byte(document("1"))); err != nil {
		page, readErr := os.ReadFile("../../docs/source.md")
		require.NoError(t, readErr)
		require.Contains(t, string(page), "Grafana", err)
	}
}

// An event in structured mode may have its data in base64. Data that is a string is no document.
func TestCaseStructuredEvents(t *testing.T) {
	const alert = `{"status":"firing","labels":{"alertname":"One","namespace":"shop"},"startsAt":"2026-04-20T12:00:00Z"}`
	o := play(t, config.Default(), event(0, `"data_base64":"`+base64.StdEncoding.EncodeToString([]byte(alert))+`"`))
	require.EqualValues(t, 1, o.only(t).Status.Alerts.Total)
	_, err := replay.Read("case", []byte(event(0, `"data":`+mustJSON(alert))))
	require.EqualError(t, err, "case:1: data: string where an object was expected")
}

// What Alertmanager's API says is no webhook; the error says so in one sentence.
func TestCaseDocumentsOfTheAPI(t *testing.T) {
	const alert = `{"labels":{"alertname":"HostDown","instance":"s1"},"startsAt":"2026-04-20T12:00:00Z","endsAt":"2026-04-20T12:07:00Z"`
	for document, want := range map[string]string{
		`[` + alert + `}]`: "case:1: it is not an object",
		`{"receiver":{"name":"r"},"alerts":[` + alert +
			`,"status":{"state":"active"}}]}`: "status: object where a string was expected",
	} {
		_, err := replay.Read("case", []byte(document))
		require.ErrorContains(t, err, want)
	}
}

// Times in other zones, and with nanoseconds.
func TestCaseTimeZones(t *testing.T) {
	o := play(t, policies(t, lone), sent(
		time.Hour,
		`{"status":"firing","labels":{"alertname":"HighCpu","instance":"p1"},"startsAt":"2026-04-20T20:10:00.113904445+08:00"}`,
		`{"status":"firing","labels":{"alertname":"HighCpu","instance":"p2"},"startsAt":"2026-04-20T11:20:00-01:00"}`,
	))
	require.Len(t, o.incidents, 2)
	for _, i := range o.incidents {
		want := map[string]time.Duration{"p1": 10 * time.Minute, "p2": 20 * time.Minute}[i.Status.CommonLabels["instance"]]
		require.Equal(t, noon.Add(want), i.Status.StartedAt.UTC())
	}
}

// Fields that are null are fields that are missing.
func TestCaseNulls(t *testing.T) {
	o := play(t, policies(t, lone), `{"time":"`+at(0)+`","data":{"receiver":null,"status":"firing","version":"4",
		"groupKey":null,"truncatedAlerts":null,"groupLabels":null,"commonLabels":null,"commonAnnotations":null,
		"externalURL":null,"alerts":[{"status":"firing","labels":{"alertname":"Nulls","pod":null,"namespace":"shop","severity":""},
		"annotations":null,"startsAt":"2026-04-20T12:00:00Z","endsAt":null,"generatorURL":null,"fingerprint":null}]}}`)
	i := o.only(t)
	require.Equal(t, map[string]string{"alertname": "Nulls", "namespace": "shop"}, i.Status.CommonLabels)
}

// Alert names in any script and of any length make names that Kubernetes takes.
func TestCaseNames(t *testing.T) {
	var alerts []string
	names := []string{"节点磁盘空间不足", "kafka消息积压", "[FIRING:1] Disk (prod)!", strings.Repeat("x", 300), "Ünï 🙂"}
	for _, name := range names {
		alerts = append(alerts, alertOf("firing", map[string]string{"alertname": name, "namespace": "shop"}, 0, 0))
	}
	o := play(t, policies(t, lone), sent(0, alerts...))
	require.Len(t, o.incidents, len(names))
	for _, i := range o.incidents {
		require.Empty(t, validation.IsDNS1123Label(i.Name), i.Name)
		require.Contains(t, names, i.Spec.AlertName)
	}
}

// Control characters in values keep apart what belongs apart.
func TestCaseControlCharacters(t *testing.T) {
	alerts := []string{alertOf("firing", map[string]string{
		"alertname": "Ctl", "namespace": "shop", "msg": "a\x00b\x1fc\nd\te", "node": "n1\x1fx=y", "severity": "warning\n",
	}, 0, 0)}
	for n := range 6 {
		alerts = append(alerts, alertOf("firing", map[string]string{
			"alertname": "Ctl", "namespace": "shop", "node": "n1", "1": "a", "2": fmt.Sprint(n), "severity": "warning",
		}, 0, 0))
	}
	i := play(t, policies(t, together), sent(0, alerts...)).only(t)
	require.EqualValues(t, 7, i.Status.Alerts.Total)
	require.Equal(t, map[string]string{"alertname": "Ctl", "namespace": "shop"}, i.Status.CommonLabels)
}

// An ApiServerSource lists all Events of Kubernetes again when it starts. One that was reported before changes
// nothing.
func TestCaseKubernetesEventsListedAgain(t *testing.T) {
	said := func(kind string, arrives, last time.Duration, count int) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"https://10.96.0.1:443",
			"type":"dev.knative.apiserver.resource.%s","time":%q,
			"datacontenttype":"application/json","data":{"apiVersion":"v1","kind":"Event",
			"metadata":{"name":"web.18f","namespace":"shop","creationTimestamp":%q},
			"involvedObject":{"apiVersion":"v1","kind":"Pod","namespace":"shop","name":"web-6f7d8c9b5d-2b4d6"},
			"reason":"Unhealthy","message":"Readiness probe failed",
			"source":{"component":"kubelet","host":"kiln-3"},"firstTimestamp":%q,"lastTimestamp":%q,
			"count":%d,"type":"Warning","eventTime":null}}`,
			kind, at(arrives), noon.Format(time.RFC3339), noon.Format(time.RFC3339), noon.Add(last).Format(time.RFC3339), count)
	}
	p := policies(t, "policies: [{name: events, groupBy: [namespace, pod], threshold: 1, quiet: 30m, cooldown: 5m}]")
	for name, documents := range map[string][]string{
		"after an update": {
			said("add", 200*time.Millisecond, 0, 1), said("update", 3*time.Minute, 3*time.Minute, 4),
			said("add", 55*time.Minute, 3*time.Minute, 4),
		},
		"as it was": {said("add", 3*time.Minute, 3*time.Minute, 1), said("add", 55*time.Minute, 3*time.Minute, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			o := play(t, p, documents...)
			require.Len(t, o.incidents, 1)
			i := o.only(t)
			require.Equal(t, "Quiet", reason(i))
			require.Equal(t, 33*time.Minute, endedAt(i))
			require.Zero(t, i.Status.Reopened)
		})
	}
}
