package replay

import (
	"github.com/prometheus/common/model"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/alertmanager"
)

// Notified are the notifications that people get from Alertmanager about the alerts of a recording.
type Notified struct {
	// Notifications is their number. Computed is the number of those that are not in the recording: what Alertmanager
	// would have sent if it had grouped by GroupBy.
	Notifications int      `json:"notifications"`
	Computed      int      `json:"computed"`
	GroupBy       []string `json:"groupBy,omitempty"`
	// Groups is the number of groups of alerts that they are about.
	Groups int `json:"groups"`
	// The reasons, of which each notification has one.
	FirstNotification int `json:"firstNotification"`
	NewAlerts         int `json:"newAlerts"`
	SomeResolved      int `json:"someResolved"`
	AllResolved       int `json:"allResolved"`
	Repeat            int `json:"repeat"`
}

// notified counts the documents that are notifications, which are those with a group key, and what Alertmanager would
// have sent about the alerts of the others. With groupBy, it counts what Alertmanager would have sent about all.
func notified(ordered []Notification, groupBy []string) Notified {
	var out Notified
	log, groups := alertmanager.Log{}, map[string]bool{}
	var computed []Notification
	for _, n := range ordered {
		if n.Batch.GroupKey == "" || len(groupBy) > 0 {
			computed = append(computed, n)
			continue
		}
		firing, resolved := alertmanager.Set{}, alertmanager.Set{}
		for _, a := range n.Batch.Alerts {
			// A decoded fingerprint is 16 hex digits.
			if id, _ := model.ParseFingerprint(a.Fingerprint); a.Status == aggregator.Firing {
				firing[id] = true
			} else {
				resolved[id] = true
			}
		}
		out.count(log.Add(n.Batch.GroupKey, n.At, firing, resolved))
		groups["sent "+n.Batch.GroupKey] = true
	}
	if len(computed) > 0 {
		route := alertmanager.Shipped
		if len(groupBy) > 0 {
			route.GroupBy = groupBy
		}
		out.GroupBy = route.GroupBy
		for _, n := range wouldSend(computed, route) {
			out.Computed++
			out.count(n.Reason)
			groups["computed "+n.GroupKey] = true
		}
	}
	out.Groups = len(groups)
	return out
}

func (n *Notified) count(reason alertmanager.Reason) {
	n.Notifications++
	switch reason {
	case alertmanager.FirstNotification:
		n.FirstNotification++
	case alertmanager.NewAlerts:
		n.NewAlerts++
	case alertmanager.SomeResolved:
		n.SomeResolved++
	case alertmanager.AllResolved:
		n.AllResolved++
	case alertmanager.Repeat:
		n.Repeat++
	}
}
