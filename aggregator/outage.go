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
	Name, Namespace, Group string
	// Type is Alert, Storm or Outage.
	Type   string
	Firing bool
	// StartsAt is the earliest start of its alerts, EndedAt is zero while it fires.
	StartsAt, EndedAt time.Time
	Severity          string
	Subject           subject.Resource
	// AlertName is empty when its alerts have different names.
	AlertName string
	// Alerts and AlertsFiring count its alerts; of an outage, those of its members.
	Alerts, AlertsFiring int
	// Labels are those that all its alerts that have them agree on.
	Labels map[string]string
	// Cause: it explains the other members.
	Cause bool
}
