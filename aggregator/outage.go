package aggregator

import (
	"time"

	"github.com/stormfold/stormfold/internal/subject"
)

// Outage is what the object of an outage shows beyond that of any incident: the incidents that are part of it.
type Outage struct {
	// Policy is the outage policy's name.
	Policy string
	// Evidence is what joins the members, see the constants.
	Evidence Evidence
	// Cause is the name of the member that explains the others; empty when none is known.
	Cause string
	// Members are the incidents, in no order.
	Members []Part
}

// OutageSubject is what an outage is about: the zone of its group's labels, or the subject of its cause, or the node of
// the labels.
func OutageSubject(labels map[string]string, cause subject.Resource) subject.Resource {
	switch zone, node := labels["zone"], labels[subject.LabelNode]; {
	case zone != "":
		return subject.Resource{Kind: "Zone", Name: zone}
	case cause.Kind == "" && node != "":
		return subject.Resource{Kind: "Node", Name: node}
	}
	return cause
}

// Evidence is what the members of an outage have in common.
type Evidence string

// The kinds of evidence. A label and a cause give high confidence, time alone gives low confidence.
const (
	// EvidenceLabel: the members share the labels of the policy's groupBy.
	EvidenceLabel Evidence = "Label"
	// EvidenceCause: one of the members is a cause by the policy's matchers.
	EvidenceCause Evidence = "Cause"
	// EvidenceTime: the members began at the same time in many places.
	EvidenceTime Evidence = "Time"
)

// Part is an incident as the outages that it may be part of know it.
type Part struct {
	// Name and Namespace are the object's, Group is its group.
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	// Type is Alert, Storm or Outage.
	Type   string `json:"type"`
	Firing bool   `json:"firing,omitempty"`
	// StartsAt is the earliest start of its alerts, EndedAt is zero while it fires.
	StartsAt time.Time        `json:"startsAt"`
	EndedAt  time.Time        `json:"endedAt,omitzero"`
	Severity string           `json:"severity,omitempty"`
	Subject  subject.Resource `json:"subject,omitzero"`
	// AlertName is empty when its alerts have different names.
	AlertName string `json:"alertName,omitempty"`
	// Alerts and AlertsFiring count its alerts; of an outage, those of its members.
	Alerts       int `json:"alerts"`
	AlertsFiring int `json:"alertsFiring,omitempty"`
	// Labels are those that all its alerts that have them agree on.
	Labels map[string]string `json:"labels"`
	// Cause: it explains the other members.
	Cause bool `json:"cause,omitempty"`
}

// report is what an outage's group remembers of an incident.
type report struct {
	Part
	// Revision is the incident's. Imported parts have 0, so that any report is newer.
	Revision int64 `json:"-"`
	// Parent is the outage of another policy that the incident is part of, nil for none.
	Parent *parent `json:"parent,omitempty"`
	// Gone: it is no longer part of the group.
	Gone bool `json:"-"`
}

// parent is the outage that an incident is part of: its group, the rank of its policy, and its name, empty for none.
type parent struct {
	Group string `json:"group"`
	Rank  int    `json:"rank"`
	Name  string `json:"name"`
	// At orders what a group has told: the later of its revision and Redis' clock when the outage was read.
	At int64 `json:"at,omitempty"`
}

// outage is the name of the outage, empty for none.
func (p *parent) outage() string {
	if p == nil {
		return ""
	}
	return p.Name
}

// up is what an incident has told the groups of outage policies, so that it can tell them when it belongs elsewhere.
type up struct {
	Groups []string          `json:"groups,omitempty"` // Lua cannot write an empty list.
	Labels map[string]string `json:"labels,omitempty"`
}
