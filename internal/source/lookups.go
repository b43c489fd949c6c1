package source

import (
	"encoding/json"
	"fmt"

	"go.uber.org/zap"

	"github.com/stormfold/stormfold/internal/lookup"
	"github.com/stormfold/stormfold/internal/lookup/informers"
	"github.com/stormfold/stormfold/internal/subject"
)

// lookupResult is what came of looking up an alert. The set is closed: it is the label of a metric.
type lookupResult string

const (
	lookupFound    lookupResult = "found"
	lookupUnknown  lookupResult = "unknown"
	lookupUnsynced lookupResult = "unsynced"
)

// cluster is what alerts are looked up in. It answers from memory.
type cluster interface {
	// Inventory is nil until all of the cluster is known once.
	Inventory() *lookup.Inventory
}

// withLookups returns the alert with what the cluster knows about its subject, in the field lookups. An alert that has
// this field keeps it. Whatever goes wrong, the alert is sent as it is.
func (s *Source) withLookups(alert json.RawMessage) json.RawMessage {
	if s.cluster == nil {
		return alert
	}
	inventory := s.cluster.Inventory()
	if inventory == nil {
		s.metrics.lookup(lookupUnsynced)
		return alert
	}
	found := find(inventory, alert)
	if found == nil {
		s.metrics.lookup(lookupUnknown)
		return alert
	}
	s.metrics.lookup(lookupFound)
	field, _ := json.Marshal(found) // A map of strings is always JSON.
	// The walk reads the next alert into the memory of this one, so that the result needs memory of its own.
	out := make([]byte, 0, len(alert)+len(field)+len(`,"lookups":`))
	out = append(out, alert[:len(alert)-1]...) // without its closing brace
	out = append(append(out, `,"lookups":`...), field...)
	return append(out, '}')
}

// find looks an alert up. One with look-ups of its own, or with labels that are not strings, is not looked up.
func find(inventory *lookup.Inventory, raw json.RawMessage) map[string]string {
	var alert struct {
		Labels  map[string]string `json:"labels"`
		Lookups json.RawMessage   `json:"lookups"`
	}
	if json.Unmarshal(raw, &alert) != nil || alert.Lookups != nil {
		return nil
	}
	r := subject.Rules(nil).Read(alert.Labels)
	return inventory.Find(&r)
}

// startLookups begins to follow the cluster if the settings say so, and does not wait for it.
func startLookups(settings *Settings, log *zap.SugaredLogger) (*informers.Cluster, error) {
	if !settings.Lookups {
		return nil, nil
	}
	config, err := informers.Config()
	if err != nil {
		return nil, fmt.Errorf("%s: there is no connection to Kubernetes: %w", lookupsKey, err)
	}
	config.UserAgent = "stormfold-source"
	c, err := informers.Start(config, func(err error) { log.Warnw("look-ups are not up to date", "error", err) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", lookupsKey, err)
	}
	return c, nil
}
