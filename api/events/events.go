// Package events has what Stormfold tells by CloudEvents: the types of its reply events and what they carry. The JSON
// schemas beside it say the same to other languages.
package events

import _ "embed"

// The types of reply events. Their subject is the incident's name; their id depends on incident, type and revision
// alone, so that the same news is the same event whoever tells it.
const (
	// TypeOpened: an incident was opened, or an alert that came back reopened it.
	TypeOpened = "io.stormfold.incident.opened.v1"
	// TypeStorm: an incident became a storm.
	TypeStorm = "io.stormfold.incident.storm.v1"
	// TypeResolved: an incident is over.
	TypeResolved = "io.stormfold.incident.resolved.v1"
)

// The values of Incident.Type.
const (
	Opened   = "opened"
	Reopened = "reopened"
	Storm    = "storm"
	Resolved = "resolved"
)

// Incident is the data of a reply event. The object that it refers to is the truth, and may be newer.
type Incident struct {
	// Incident names the object.
	Incident Reference `json:"incident"`
	// Type is what happened: opened or reopened, storm, resolved.
	Type string `json:"type"`
	// Policy folded the alerts.
	Policy string `json:"policy"`
	// Group is the id of the alerts' group, 16 hex digits.
	Group string `json:"group"`
	// AlertName of the alert that opened the incident; it may be empty.
	AlertName string `json:"alertName"`
	// Revision of the incident at which it happened; it only grows.
	Revision int64 `json:"revision"`
	// Alerts are counted at that revision.
	Alerts Counts `json:"alerts"`
	// Reason of an end: AllResolved, Quiet or MaxDuration. Empty otherwise.
	Reason string `json:"reason,omitempty"`
}

// Reference names a Kubernetes object.
type Reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

// Counts are an incident's distinct alerts.
type Counts struct {
	Total  int `json:"total"`
	Firing int `json:"firing"`
}

var (
	//go:embed opened.v1.schema.json
	openedSchema []byte
	//go:embed storm.v1.schema.json
	stormSchema []byte
	//go:embed resolved.v1.schema.json
	resolvedSchema []byte
)

// Schemas are the JSON schemas of the data, by the type of event.
func Schemas() map[string][]byte {
	return map[string][]byte{TypeOpened: openedSchema, TypeStorm: stormSchema, TypeResolved: resolvedSchema}
}
