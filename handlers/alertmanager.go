package handlers

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/stormfold/stormfold/aggregator"
)

// notification is what is read of the document of Alertmanager's webhook. Its receiver, group key and common labels say
// nothing that the alerts do not.
type notification struct {
	Version         string  `json:"version"`
	TruncatedAlerts int64   `json:"truncatedAlerts"`
	Alerts          []alert `json:"alerts"`
}

// webhookVersion is the only version of that document there has been since 2017.
const webhookVersion = "4"

// alert is one alert of that document. Times are text here, so that an error can repeat what was sent.
type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// decodeNotification takes all alerts of a notification, each with its own status: that of the notification is firing as
// long as any of them is.
func decodeNotification(data []byte) (aggregator.Batch, *Invalid) {
	var n notification
	if invalid := unmarshal(data, &n); invalid != nil {
		return aggregator.Batch{}, invalid
	}
	switch {
	case n.Version != "" && n.Version != webhookVersion:
		return aggregator.Batch{}, &Invalid{Field: "version", Problem: fmt.Sprintf("%s is not %q", quote(n.Version), webhookVersion)}
	case len(n.Alerts) == 0:
		return aggregator.Batch{}, &Invalid{Field: "alerts", Problem: "there are none"}
	case len(n.Alerts) > MaxAlerts:
		return aggregator.Batch{}, tooLarge("alerts", len(n.Alerts), MaxAlerts, "alerts")
	}
	batch := aggregator.Batch{Alerts: make([]aggregator.Alert, 0, len(n.Alerts)), Truncated: n.TruncatedAlerts > 0}
	seen := make(map[string]int, len(n.Alerts))
	for i := range n.Alerts {
		a, invalid := n.Alerts[i].validate()
		if invalid != nil {
			return aggregator.Batch{}, invalid.in("alerts[" + strconv.Itoa(i) + "]")
		}
		if before, twice := seen[a.Fingerprint]; twice {
			batch.Alerts[before] = join(batch.Alerts[before], a)
			continue
		}
		seen[a.Fingerprint] = len(batch.Alerts)
		batch.Alerts = append(batch.Alerts, a)
	}
	return batch, nil
}

func decodeAlert(data []byte) (aggregator.Batch, *Invalid) {
	var sent alert
	if invalid := unmarshal(data, &sent); invalid != nil {
		return aggregator.Batch{}, invalid
	}
	a, invalid := sent.validate()
	if invalid != nil {
		return aggregator.Batch{}, invalid
	}
	return aggregator.Batch{Alerts: []aggregator.Alert{a}}, nil
}

// join is the fold's join for two words about one alert in the same event: resolved beats firing.
func join(a, b aggregator.Alert) aggregator.Alert {
	switch {
	case a.Status != b.Status && b.Status == aggregator.Resolved:
		return b
	case a.Status == b.Status && b.StartsAt.Before(a.StartsAt):
		a.StartsAt = b.StartsAt
	}
	return a
}

// validate makes an alert of what was sent, without its notifiedAt. It takes the maps over.
func (a *alert) validate() (aggregator.Alert, *Invalid) {
	out := aggregator.Alert{
		Status: aggregator.Status(a.Status), Labels: a.Labels, Annotations: trimAnnotations(a.Annotations),
		GeneratorURL: cut(a.GeneratorURL, MaxGeneratorURL),
	}
	if out.Status != aggregator.Firing && out.Status != aggregator.Resolved {
		return out, &Invalid{Field: "status", Problem: quote(a.Status) + " is neither firing nor resolved"}
	}
	invalid := checkLabels(a.Labels)
	if invalid != nil {
		return out, invalid
	}
	if out.StartsAt, invalid = a.startsAt(); invalid != nil {
		return out, invalid
	}
	ends, invalid := parseTime("endsAt", a.EndsAt)
	if invalid != nil {
		return out, invalid
	}
	if out.Status == aggregator.Resolved { // While an alert fires, this is when its sender would give it up.
		out.EndsAt = ends
	}
	out.Fingerprint, invalid = a.fingerprint()
	return out, invalid
}

func (a *alert) startsAt() (time.Time, *Invalid) {
	if a.StartsAt == "" {
		return time.Time{}, &Invalid{Field: "startsAt", Problem: "it is missing"}
	}
	t, invalid := parseTime("startsAt", a.StartsAt)
	if invalid == nil && t.IsZero() {
		invalid = &Invalid{Field: "startsAt", Problem: quote(a.StartsAt) + " is not a time at which an alert starts"}
	}
	return t, invalid
}

// fingerprint is the one that was sent, whatever the labels: a sender that rewrites labels keeps telling its alerts apart.
func (a *alert) fingerprint() (string, *Invalid) {
	if a.Fingerprint == "" {
		return fingerprint(a.Labels), nil
	}
	if len(a.Fingerprint) != 16 || strings.Trim(a.Fingerprint, "0123456789abcdefABCDEF") != "" {
		return "", &Invalid{Field: "fingerprint", Problem: quote(a.Fingerprint) + " is not 16 hex digits"}
	}
	return strings.ToLower(a.Fingerprint), nil
}

// fingerprint is Alertmanager's own for that label set.
func fingerprint(labels map[string]string) string {
	set := make(model.LabelSet, len(labels))
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.Fingerprint().String()
}
