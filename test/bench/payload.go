package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
)

// stream is an endless sequence of different alerts, spread over groups: the n-th alert of the stream belongs to group
// n modulo groups. Alerts look like those of kube-prometheus, about 1 KB each as JSON. After groups × perGroup alerts
// it repeats them.
type stream struct {
	name   string // Part of the alerts' names, so that two streams have no group in common.
	groups int
	at     time.Time // When all of its alerts began.
}

// perGroup is maxAlerts of the built-in policy: with more, the counts would be lower bounds.
const perGroup = 10000

// newStream makes a stream of its own.
func newStream(name string, groups int) stream {
	return stream{name: name, groups: groups, at: time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)}
}

func (s stream) place(n int) (group, pod int) { return n % s.groups, n / s.groups % perGroup }

func (s stream) alertname(group int) string {
	return fmt.Sprintf("KubePodCrashLooping%s%d", s.name, group)
}

func (s stream) podName(group, pod int) string {
	return "checkout-" + strconv.Itoa(group) + "-7d4b9c6f5-" + strconv.Itoa(pod)
}

// fingerprint is sent as Alertmanager does; the labels are different wherever it is.
func (s stream) fingerprint(group, pod int) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d/%d", s.name, group, pod)
	return fmt.Sprintf("%016x", h.Sum64())
}

const (
	summary     = "Pod is crash looping."
	description = "Pod shop/%s (server) is in waiting state (reason: \"CrashLoopBackOff\") on cluster production."
	runbook     = "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping"
	generator   = "https://prometheus.example.com/graph?g0.expr=max_over_time%28kube_pod_container_status_waiting_reason" +
		"%7Bjob%3D%22kube-state-metrics%22%2Cnamespace%3D~%22.%2A%22%2Creason%3D%22CrashLoopBackOff%22%7D%5B5m%5D%29+%3E%3D+1&g0.tab=1"
)

// alert is the n-th alert as the function has it after decoding.
func (s stream) alert(n int, now time.Time) aggregator.Alert {
	group, pod := s.place(n)
	name := s.podName(group, pod)
	return aggregator.Alert{
		Fingerprint: s.fingerprint(group, pod), Status: aggregator.Firing,
		Labels: map[string]string{
			"alertname": s.alertname(group), "cluster": "production", "container": "server", "job": "kube-state-metrics",
			"namespace": "shop", "pod": name, "prometheus": "monitoring/k8s", "reason": "CrashLoopBackOff",
			"severity": "warning", "uid": "5b1f6c1e-8d57-4f0e-9a53-" + strconv.Itoa(100000000000+pod),
		},
		Annotations: map[string]string{
			"summary": summary, "description": fmt.Sprintf(description, name), "runbook_url": runbook,
		},
		StartsAt: s.at, NotifiedAt: now, GeneratorURL: generator,
	}
}

// appendAlert writes the n-th alert as in the webhook's document or, without status and fingerprint, in the API of
// Alertmanager. It writes by hand: the load generator has to leave the machine to what is measured.
func (s stream) appendAlert(b []byte, n int, api bool) []byte {
	group, pod := s.place(n)
	name := s.podName(group, pod)
	b = append(b, '{')
	if !api {
		b = append(b, `"status":"firing",`...)
	}
	b = append(b, `"labels":{"alertname":"`...)
	b = append(b, s.alertname(group)...)
	b = append(b, `","cluster":"production","container":"server","job":"kube-state-metrics","namespace":"shop","pod":"`...)
	b = append(b, name...)
	b = append(
		b,
		`","prometheus":"monitoring/k8s","reason":"CrashLoopBackOff","severity":"warning","uid":"5b1f6c1e-8d57-4f0e-9a53-`...)
	b = strconv.AppendInt(b, int64(100000000000+pod), 10)
	b = append(b, `"},"annotations":{"description":"Pod shop/`...)
	b = append(b, name...)
	b = append(b, ` (server) is in waiting state (reason: \"CrashLoopBackOff\") on cluster production.","runbook_url":"`+
		runbook+`","summary":"`+summary+`"},"startsAt":"`...)
	b = s.at.AppendFormat(b, time.RFC3339Nano)
	if !api {
		b = append(b, `","endsAt":"0001-01-01T00:00:00Z`...)
	}
	b = append(b, `","generatorURL":"`+generator...)
	if !api {
		b = append(b, `","fingerprint":"`...)
		b = append(b, s.fingerprint(group, pod)...)
	}
	return append(b, `"}`...)
}

// appendBatch writes size alerts of one group as the webhook's document, or as the body for Alertmanager's API. The
// n-th batch belongs to group n modulo groups.
func (s stream) appendBatch(b []byte, n, size int, api bool) []byte {
	if !api {
		b = append(
			b,
			`{"receiver":"stormfold","status":"firing","externalURL":"https://alertmanager.example.com","version":"4",`+
				`"groupKey":"{}:{alertname=\"`...)
		b = append(b, s.alertname(n%s.groups)...)
		b = append(b, `\"}","truncatedAlerts":0,"alerts":`...)
	}
	b = append(b, '[')
	for i := range size {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendAlert(b, s.inBatch(n, i, size), api)
	}
	b = append(b, ']')
	if !api {
		b = append(b, '}')
	}
	return b
}

// inBatch is which alert of the stream is the i-th of the n-th batch.
func (s stream) inBatch(n, i, size int) int {
	group, first := n%s.groups, n/s.groups*size
	return (first+i)*s.groups + group
}

// batch is what appendBatch writes, as the function has it after decoding.
func (s stream) batch(n, size int, now time.Time) aggregator.Batch {
	alerts := make([]aggregator.Alert, size)
	for i := range alerts {
		alerts[i] = s.alert(s.inBatch(n, i, size), now)
	}
	key := sha256.Sum256([]byte(`{}:{alertname="` + s.alertname(n%s.groups) + `"}`))
	return aggregator.Batch{Alerts: alerts, GroupKey: hex.EncodeToString(key[:8])}
}

// load makes the n-th event of its kind: its type and data.
type load func(b []byte, n int) (body []byte, eventType string)

// singles are events of one alert each.
func (s stream) singles() load {
	return func(b []byte, n int) ([]byte, string) { return s.appendAlert(b, n, false), handlers.TypeAlert }
}

// notifications are events of size alerts each.
func (s stream) notifications(size int) load {
	return func(b []byte, n int) ([]byte, string) {
		return s.appendBatch(b, n, size, false), handlers.TypeNotification
	}
}

// posts are bodies for Alertmanager's API, which are not events.
func (s stream) posts(size int) load {
	return func(b []byte, n int) ([]byte, string) { return s.appendBatch(b, n, size, true), "" }
}
