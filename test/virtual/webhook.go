package virtual

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/stormfold/stormfold/internal/alertmanager"
)

// Webhook is one call of the webhook.
type Webhook struct {
	At   time.Time       `json:"time"`
	Data json.RawMessage `json:"data"`
}

// Webhooks are the calls for notifications.
func Webhooks(notifications []alertmanager.Notification) []Webhook {
	out := make([]Webhook, len(notifications))
	for i, n := range notifications {
		out[i] = Webhook{n.At, document(n)}
	}
	return out
}

// document is the body of the call.
func document(n alertmanager.Notification) json.RawMessage {
	listed := make([]map[string]any, len(n.Alerts))
	var common map[string]string
	fires := false
	for i, a := range n.Alerts {
		ends := a.EndsAt
		if !a.Resolved(n.At) {
			ends, fires = time.Time{}, true
		}
		listed[i] = map[string]any{
			"status": status(!a.Resolved(n.At)), "labels": a.Labels, "annotations": a.Annotations,
			"startsAt": a.StartsAt, "endsAt": ends, "generatorURL": "", "fingerprint": alertmanager.Fingerprint(a.Labels),
		}
		if i == 0 {
			common = maps.Clone(a.Labels)
		}
		maps.DeleteFunc(common, func(name, value string) bool { return a.Labels[name] != value })
	}
	data, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": n.GroupKey, "truncatedAlerts": 0, "status": status(fires),
		"receiver": "stormfold", "externalURL": "http://alertmanager:9093", "groupLabels": n.GroupLabels,
		"commonLabels": common, "commonAnnotations": map[string]string{}, "alerts": listed,
	})
	if err != nil {
		panic(err) // Maps of strings and times are JSON.
	}
	return data
}

func status(firing bool) string {
	if firing {
		return "firing"
	}
	return "resolved"
}
