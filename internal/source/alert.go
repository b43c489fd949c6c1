package source

import (
	"encoding/json"
	"hash/fnv"
	"unicode/utf8"
)

// flaw is why an alert is left out of a notification whose other alerts are sent. The set is closed: it is the label of
// a metric. The function looks closer: what it takes of an alert is its own business.
type flaw string

const (
	none     flaw = ""
	noObject flaw = "type"
	noUTF8   flaw = "encoding"
	noStatus flaw = "status"
	noLabels flaw = "labels"
)

// flaws are all that checkAlert returns, with what they say.
var flaws = map[flaw]string{
	noObject: "it is not an object",
	noUTF8:   "it is not valid UTF-8",
	noStatus: "its status is neither firing nor resolved",
	noLabels: "it has no labels",
}

// told is what the source reads of an alert.
type told struct {
	firing bool
	// content is a hash of what makes Alertmanager notify: which alert it is, and whether it fires.
	content uint64
}

// checkAlert looks for what every alert has.
func checkAlert(raw json.RawMessage) (told, flaw) {
	var alert struct {
		Status      json.RawMessage `json:"status"`
		Labels      json.RawMessage `json:"labels"`
		Fingerprint json.RawMessage `json:"fingerprint"`
	}
	if raw[0] != '{' || json.Unmarshal(raw, &alert) != nil {
		return told{}, noObject
	}
	status := string(alert.Status)
	switch {
	case !utf8.Valid(raw):
		return told{}, noUTF8
	case status != `"firing"` && status != `"resolved"`:
		return told{}, noStatus
	case len(alert.Labels) < len(`{"a":0}`) || alert.Labels[0] != '{':
		return told{}, noLabels
	}
	identity := alert.Fingerprint
	if len(identity) == 0 {
		identity = alert.Labels
	}
	hash := fnv.New64a()
	_, _ = hash.Write(alert.Status)
	_, _ = hash.Write(identity)
	return told{firing: status == `"firing"`, content: hash.Sum64()}, none
}
