package handlers

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/subject"
)

func TestKubernetesEvents(t *testing.T) {
	for name, want := range map[string]struct {
		alert    aggregator.Alert
		resource subject.Resource
		// said is when the Event last happened, the CloudEvent's time where that is later.
		said time.Time
	}{
		"kubeevent-core": {
			aggregator.Alert{
				Labels: map[string]string{"alertname": "BackOff", "severity": "warning", "event_type": "Warning", "kind": "Pod",
					"namespace": "shop",
					"pod":       "cart-7d9c6b8f4d-x2k8v", "node": "node-7"},
				Annotations: map[string]string{"summary": "Back-off restarting failed container cart in pod cart-7d9c6b8f4d-x2k8v"},
				StartsAt:    time.Date(2026, 3, 1, 10, 15, 30, 0, time.UTC),
			},
			subject.Resource{Kind: "Pod", Namespace: "shop", Name: "cart-7d9c6b8f4d-x2k8v"},
			heard, // Before its lastTimestamp.
		},
		"kubeevent-new": {
			aggregator.Alert{
				Labels: map[string]string{"alertname": "RenewalFailed", "severity": "warning", "event_type": "Warning",
					"kind": "Certificate", "namespace": "shop",
					"involved_kind": "Certificate", "involved_name": "tls"},
				Annotations: map[string]string{"summary": "no issuer answered"},
				StartsAt:    time.Date(2026, 3, 1, 10, 15, 30, 123456e3, time.UTC),
			},
			subject.Resource{Kind: "Certificate", Namespace: "shop", Name: "tls"},
			time.Date(2026, 3, 1, 10, 15, 30, 123e6, time.UTC),
		},
	} {
		for _, eventType := range []string{TypeResourceAdd, TypeResourceUpdate} {
			got, err := Decode(incoming(eventType, golden(t, name)), received)
			require.NoError(t, err)
			want.alert.Status, want.alert.NotifiedAt = aggregator.Firing, want.said
			want.alert.Fingerprint = fingerprint(want.alert.Labels)
			require.Equal(
				t,
				Request{Kind: Alerts, NotifiedAt: heard, Batch: aggregator.Batch{Alerts: []aggregator.Alert{want.alert}}},
				got,
			)
			require.Equal(t, want.resource, subject.Rules(nil).Read(got.Batch.Alerts[0].Labels).Subject)
		}
	}
}

// TestInvolvedObjects: whatever an Event is about, package subject finds exactly that.
func TestInvolvedObjects(t *testing.T) {
	for kind, namespace := range map[string]string{
		"Pod": "shop", "Job": "shop", "CronJob": "shop", "Deployment": "shop", "StatefulSet": "shop", "DaemonSet": "shop",
		"ReplicaSet": "shop", "PersistentVolumeClaim": "shop", "HorizontalPodAutoscaler": "shop", "Service": "shop",
		"Ingress": "shop",
		"Node":    "", "Namespace": "", "PersistentVolume": "",
	} {
		data := strings.NewReplacer(`"kind": "Pod"`, `"kind": "`+kind+`"`, "cart-7d9c6b8f4d-x2k8v", "it").
			Replace(string(golden(t, "kubeevent-core")))
		got, err := Decode(incoming(TypeResourceAdd, []byte(data)), received)
		require.NoError(t, err, kind)
		require.Equal(
			t,
			subject.Resource{Kind: kind, Namespace: namespace, Name: "it"},
			subject.Rules(nil).Read(got.Batch.Alerts[0].Labels).Subject,
		)
	}
}

func TestKubernetesEventsThatAreNoAlerts(t *testing.T) {
	core := string(golden(t, "kubeevent-core"))
	for name, data := range map[string]string{
		"a normal one":      strings.Replace(core, `"Warning"`, `"Normal"`, 1),
		"one of a new type": strings.Replace(core, `"Warning"`, `"Notice"`, 1),
		"about our own object": strings.Replace(core, `"involvedObject": {"apiVersion": "v1"`,
			`"involvedObject": {"apiVersion": "stormfold.io/v1alpha1"`, 1),
	} {
		got, err := Decode(incoming(TypeResourceUpdate, []byte(data)), received)
		require.NoError(t, err, name)
		require.Equal(t, Request{Kind: Ignore}, got, name)
	}
}

func TestInvalidKubernetesEvents(t *testing.T) {
	for _, c := range []struct{ golden, old, new, want string }{
		{"kubeevent-core", `"kind": "Event"`, `"kind": "Pod"`, `kind: "Pod" is not Event`},
		{"kubeevent-core", `"apiVersion": "v1",`, `"apiVersion": "v2",`,
			`apiVersion: "v2" is neither v1 nor events.k8s.io/v1`},
		{"kubeevent-core", `"BackOff"`, `""`, `reason: it is missing`},
		{"kubeevent-core", `"BackOff"`, `7`, `reason: number where a string was expected`},
		{"kubeevent-core", `"kind": "Pod"`, `"kind": ""`, `involvedObject.kind: it is missing`},
		{"kubeevent-core", `"name": "cart-7d9c6b8f4d-x2k8v"`, `"name": 7`,
			`involvedObject.name: number where a string was expected`},
		{"kubeevent-new", `"name": "tls"`, `"name": ""`, `regarding.name: it is missing`},
	} {
		data := string(golden(t, c.golden))
		require.Contains(t, data, c.old)
		_, err := Decode(incoming(TypeResourceAdd, []byte(strings.Replace(data, c.old, c.new, 1))), received)
		require.EqualError(t, err, c.want)
	}
	created := strings.Replace(string(golden(t, "kubeevent-new")), `"2026-03-01T10:15:30.123456Z"`, `null`, 1)
	got, err := Decode(incoming(TypeResourceAdd, []byte(created)), received)
	require.NoError(t, err)
	require.Equal(t, 31, got.Batch.Alerts[0].StartsAt.Second(), "the object's creation is all there is")
	none := strings.NewReplacer(
		`"2026-03-01T10:15:30.123456Z"`,
		`"now"`,
		`"creationTimestamp": "2026-03-01T10:15:31Z"`,
		`"x": 1`,
	)
	got, err = Decode(incoming(TypeResourceAdd, []byte(none.Replace(string(golden(t, "kubeevent-new"))))), received)
	require.NoError(t, err)
	require.Equal(t, heard, got.Batch.Alerts[0].StartsAt, "there is none but that of the event")
}
