package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stormfold/stormfold/aggregator"
)

// notification is the part of Alertmanager's webhook that is read. Its receiver and common labels add nothing to the
// alerts.
type notification struct {
	Version         string  `json:"version"`
	GroupKey        string  `json:"groupKey"`
	TruncatedAlerts int64   `json:"truncatedAlerts"`
	Alerts          []alert `json:"alerts"`
}

// rawNotification is the same document with unparsed fields.
type rawNotification struct {
	Version         json.RawMessage   `json:"version"`
	GroupKey        json.RawMessage   `json:"groupKey"`
	TruncatedAlerts json.RawMessage   `json:"truncatedAlerts"`
	Alerts          []json.RawMessage `json:"alerts"`
}

// versions are those of documents with these fields: Alertmanager's since 2017, and Grafana's.
var versions = []string{"", "4", "1"}

// decodeNotification decodes all alerts of a notification, each with its own status: that of the notification is firing
// while any of them is. An unusable alert is left out and does not affect the others.
func decodeNotification(data []byte, at time.Time) (aggregator.Batch, []LeftOut, *Invalid) {
	var n notification
	var wrong []*Invalid // of each alert, where any is
	if !unmarshalStrict(data, &n) {
		var invalid *Invalid
		if n, wrong, invalid = readLoosely(data); invalid != nil {
			return aggregator.Batch{}, nil, invalid
		}
	}
	switch {
	case !slices.Contains(versions, n.Version):
		return aggregator.Batch{}, nil, &Invalid{Field: "version", Problem: quote(n.Version) + ` is neither "4" nor "1"`}
	case len(n.Alerts) == 0:
		return aggregator.Batch{}, nil, &Invalid{Field: "alerts", Problem: "there are none"}
	}
	taken := n.Alerts[:min(len(n.Alerts), MaxAlerts)]
	batch := aggregator.Batch{
		Alerts: make([]aggregator.Alert, 0, len(taken)), GroupKey: hashed(n.GroupKey),
		Truncated: n.TruncatedAlerts > 0 || len(taken) < len(n.Alerts),
	}
	var left leftOut
	seen := make(map[string]int, len(taken))
	for i := range taken {
		var a aggregator.Alert
		var invalid *Invalid
		if wrong != nil && wrong[i] != nil {
			invalid = wrong[i]
		} else {
			a, invalid = taken[i].validate(at)
		}
		if invalid != nil {
			left.add(1, invalid.in("alerts["+strconv.Itoa(i)+"]"))
			continue
		}
		if before, twice := seen[a.Fingerprint]; twice {
			batch.Alerts[before] = join(batch.Alerts[before], a)
			continue
		}
		seen[a.Fingerprint] = len(batch.Alerts)
		batch.Alerts = append(batch.Alerts, a)
	}
	if more := len(n.Alerts) - len(taken); more > 0 {
		invalid := tooLarge("alerts", len(n.Alerts), MaxAlerts, "alerts")
		invalid.leaves = LeftOutTooMany
		left.add(more, invalid)
	}
	if len(batch.Alerts) == 0 {
		return aggregator.Batch{}, nil, left.first()
	}
	return batch, left, nil
}

// readLoosely reads a document that has errors, each alert separately.
func readLoosely(data []byte) (notification, []*Invalid, *Invalid) {
	var raw rawNotification
	if invalid := unmarshal(data, &raw); invalid != nil {
		return notification{}, nil, invalid
	}
	n := notification{Version: text(raw.Version), GroupKey: text(raw.GroupKey), Alerts: make([]alert, len(raw.Alerts))}
	if truncated, err := strconv.ParseFloat(text(raw.TruncatedAlerts), 64); err == nil && truncated > 0 {
		n.TruncatedAlerts = 1 // The exact number does not matter.
	}
	wrong := make([]*Invalid, len(raw.Alerts))
	for i, alert := range raw.Alerts {
		wrong[i] = n.Alerts[i].read(alert)
	}
	return n, wrong, nil
}

func decodeAlert(data []byte, at time.Time) (aggregator.Batch, *Invalid) {
	var sent alert
	if invalid := sent.read(data); invalid != nil {
		return aggregator.Batch{}, invalid
	}
	a, invalid := sent.validate(at)
	if invalid != nil {
		return aggregator.Batch{}, invalid
	}
	return aggregator.Batch{Alerts: []aggregator.Alert{a}}, nil
}

// hashed is a short name for a key of any length; empty for an empty key.
func hashed(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// join is the fold's join for two updates of one alert in the same event: resolved beats firing.
func join(a, b aggregator.Alert) aggregator.Alert {
	switch {
	case a.Status != b.Status && b.Status == aggregator.Resolved:
		return b
	case a.Status == b.Status && b.StartsAt.Before(a.StartsAt):
		a.StartsAt = b.StartsAt
	}
	return a
}

// kindOf names the type of a JSON value.
func kindOf(raw json.RawMessage) string {
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return "null"
	case raw[0] == '{':
		return "object"
	case raw[0] == '[':
		return "array"
	case raw[0] == '"':
		return "string"
	case raw[0] == 't' || raw[0] == 'f':
		return "bool"
	}
	return "number"
}

// text is a JSON value as a string: the string itself, empty for null, and the JSON of anything else.
func text(raw json.RawMessage) string {
	var s string
	switch kindOf(raw) {
	case "null":
		return ""
	case "string":
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	}
	return strings.TrimSpace(string(raw))
}

func mismatch(field string, raw json.RawMessage, want string) *Invalid {
	return &Invalid{Field: field, Problem: fmt.Sprintf("%s where %s was expected", kindOf(raw), want)}
}
