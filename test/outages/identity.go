package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/replay"
)

// identityOf is what the fold counts an alert by, which is what an incident's status.upkeep.members holds: its
// fingerprint, or what the aggregator makes of it. It is empty for an alert that makes no incident.
func identityOf(policies config.Policies, a alert) (string, error) {
	document, err := json.Marshal(map[string]any{
		"status": aggregator.Firing, "labels": a.Labels, "startsAt": a.Fired[0].From, "fingerprint": a.Fingerprint,
	})
	if err != nil {
		return "", err
	}
	notifications, err := replay.Read("alert "+a.Fingerprint, document)
	if err != nil {
		return "", err
	}
	for _, group := range aggregator.Split(policies, notifications[0].Batch) {
		for _, folded := range group.Alerts {
			return folded.Fingerprint, nil
		}
	}
	return "", nil
}

// ofTheTarget are labels that say where an alert was measured. They change when an exporter moves to another pod.
// Where one of them says what the alert is about, the truth's object does so too.
var ofTheTarget = []string{"instance", "node", "pod", "prometheus_replica", "rule_replica"}

// sameness is equal for two alerts when they are the same alert about the same object by the truth.
func sameness(a alert) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%q", a.Object)
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if !slices.Contains(ofTheTarget, name) {
			fmt.Fprintf(&out, ",%s=%q", name, a.Labels[name])
		}
	}
	return out.String()
}
