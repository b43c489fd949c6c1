package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Labels of an incident. They hold values that never change; values that change are selectable by field. A value that
// Kubernetes does not allow as a label is cut, and a hash of the whole value is appended.
const (
	// LabelGroup is the group id: 16 hex digits.
	LabelGroup = "stormfold.io/group"
	// LabelShard is the group's shard in Redis: two decimal digits.
	LabelShard = "stormfold.io/shard"
	// LabelPolicy is the name of the policy.
	LabelPolicy = "stormfold.io/policy"
	// LabelAlertName is the alertname of the alert that opened the incident.
	LabelAlertName = "stormfold.io/alert-name"
	// LabelAlertNamespace is the namespace of the alert that opened the incident.
	LabelAlertNamespace = "stormfold.io/alert-namespace"
	// LabelFingerprint is the fingerprint of the alert that opened the incident: 16 hex digits.
	LabelFingerprint = "stormfold.io/fingerprint"
)

// State is the state of an incident.
//
// +kubebuilder:validation:Enum=Firing;Resolved;Absorbed
type State string

const (
	// StateFiring: at least one alert fires.
	StateFiring State = "Firing"
	// StateResolved: it is over; the condition Resolved has the reason.
	StateResolved State = "Resolved"
	// StateAbsorbed: it became part of another incident, status.absorbedBy.
	StateAbsorbed State = "Absorbed"
)

// Type is the type of an incident.
//
// +kubebuilder:validation:Enum=Alert;Storm;Outage
type Type string

const (
	// TypeAlert: one alert.
	TypeAlert Type = "Alert"
	// TypeStorm: all alerts of a group that crossed its policy's threshold, two or more.
	TypeStorm Type = "Storm"
	// TypeOutage: incidents that have one cause.
	TypeOutage Type = "Outage"
)

const (
	// ConditionStorm is the condition type "Storm". It is True once the group has crossed its policy's threshold, and
	// stays True when the storm is over.
	//
	// Reason for True:
	//
	//   - "ThresholdCrossed"
	//
	// Reason for False:
	//
	//   - "BelowThreshold"
	ConditionStorm = "Storm"

	// ReasonThresholdCrossed: at least the policy's threshold of alerts fire now or started to fire within its window.
	ReasonThresholdCrossed = "ThresholdCrossed"
	// ReasonBelowThreshold: it is a single alert; or, as a reason of Resolved, an outage with too few incidents left, or
	// without a cause.
	ReasonBelowThreshold = "BelowThreshold"
)

const (
	// ConditionResolved is the condition type "Resolved". It is True when the incident is over. That is final, unless an
	// alert fires again within the policy's cooldown.
	//
	// Reasons for True:
	//
	//   - "AllResolved"
	//   - "Quiet"
	//   - "MaxDuration"
	//   - "Absorbed"
	//   - "BelowThreshold"
	//
	// Reasons for False:
	//
	//   - "AlertsFiring"
	//   - "Reopened"
	ConditionResolved = "Resolved"

	// ReasonAllResolved: no alert fires any more.
	ReasonAllResolved = "AllResolved"
	// ReasonQuiet: its alerts were not reported for the policy's quiet time. status.alerts.quiet counts them.
	ReasonQuiet = "Quiet"
	// ReasonMaxDuration: it lasted for the policy's maxDuration. The counts are the latest known ones.
	ReasonMaxDuration = "MaxDuration"
	// ReasonAbsorbed: the incident in status.absorbedBy replaces it.
	ReasonAbsorbed = "Absorbed"
	// ReasonAlertsFiring: at least one alert fires.
	ReasonAlertsFiring = "AlertsFiring"
	// ReasonReopened: an alert fired again within the policy's cooldown.
	ReasonReopened = "Reopened"
)

// Maximum lengths of the lists, as in the schema. Strings are cut to less than the schema's lengths before they are
// written, since the server would always refuse a status with a longer one.
const (
	// MaxResources is the maximum number of entries of status.resources.
	MaxResources = 500
	// MaxHotspots is the maximum number of entries of status.hotspots.
	MaxHotspots = 10
	// MaxParts is the maximum number of entries of status.parts.
	MaxParts = 500
)

// Incident describes one alert, one storm of alerts, or one outage.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=incidents,singular=incident,shortName=inc,categories=stormfold
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.status.type`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Severity",type=string,JSONPath=`.status.severity`
// +kubebuilder:printcolumn:name="Firing",type=integer,JSONPath=`.status.alerts.firing`
// +kubebuilder:printcolumn:name="Total",type=integer,JSONPath=`.status.alerts.total`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.startedAt`
// +kubebuilder:printcolumn:name="Subject",type=string,JSONPath=`.status.about`
// +kubebuilder:printcolumn:name="Policy",type=string,priority=1,JSONPath=`.spec.policy`
// +kubebuilder:printcolumn:name="Summary",type=string,priority=1,JSONPath=`.status.summary`
// +kubebuilder:selectablefield:JSONPath=`.status.type`
// +kubebuilder:selectablefield:JSONPath=`.status.severity`
// +kubebuilder:selectablefield:JSONPath=`.status.state`
// +kubebuilder:selectablefield:JSONPath=`.status.partOf`
// +kubebuilder:selectablefield:JSONPath=`.status.subject.kind`
// +kubebuilder:selectablefield:JSONPath=`.status.subject.namespace`
// +kubebuilder:selectablefield:JSONPath=`.status.subject.name`
type Incident struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IncidentSpec   `json:"spec"`
	Status IncidentStatus `json:"status,omitempty"`
}

// IncidentSpec is the identity of the incident. It is immutable.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable"
type IncidentSpec struct {
	// Policy that folded the alerts.
	// +kubebuilder:validation:MaxLength=63
	Policy string `json:"policy"`
	// AlertName of the alert that opened the incident.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	AlertName string `json:"alertName,omitempty"`
	// GroupLabels are the policy's groupBy labels with the values that all alerts share.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	GroupLabels map[string]string `json:"groupLabels,omitempty"`
}

// IncidentStatus is the observed state of the incident.
type IncidentStatus struct {
	// Summary is one sentence for people: how many alerts fire, since when, what they are about, how severe they are. Its
	// wording may change; programs should read the other fields.
	// +kubebuilder:validation:MaxLength=8192
	Summary string `json:"summary,omitempty"`
	// State is Firing, Resolved or Absorbed.
	State State `json:"state,omitempty"`
	// Type is Alert for a single alert, Storm for a group that crossed its threshold, Outage for incidents with one cause.
	Type Type `json:"type,omitempty"`
	// Severity is the highest of the firing alerts, or of all alerts if none fires: the value of their label severity.
	// Unknown values rank lowest.
	// +kubebuilder:validation:MaxLength=63
	Severity string `json:"severity,omitempty"`
	// About is the subject as Kind/namespace/name. Without a subject it is the most frequent label value that the alerts
	// do not all share, or else the number of resources.
	// +kubebuilder:validation:MaxLength=4096
	About string `json:"about,omitempty"`
	// Subject is the smallest object that all alerts are about: the resource itself, or else its workload, its node, or
	// its namespace. It is absent when the alerts share none of these.
	Subject *Subject `json:"subject,omitempty"`
	// Alerts counts distinct alerts.
	// +optional
	Alerts AlertCounts `json:"alerts"`
	// StartedAt is the earliest startsAt of an alert.
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// StormAt is when the group crossed its threshold; with a threshold of 1, when it had its second alert.
	StormAt *metav1.Time `json:"stormAt,omitempty"`
	// LastChangeAt is when the incident last changed. Repeated notifications do not change it.
	LastChangeAt *metav1.Time `json:"lastChangeAt,omitempty"`
	// ResolvedAt is when the incident ended.
	ResolvedAt *metav1.Time `json:"resolvedAt,omitempty"`
	// Reopened is how often an alert fired again within the policy's cooldown.
	Reopened int32 `json:"reopened,omitempty"`
	// AbsorbedBy names the incident that this one became part of.
	// +kubebuilder:validation:MaxLength=253
	AbsorbedBy string `json:"absorbedBy,omitempty"`
	// PartOf names the outage that the incident is part of. It is absent if there is none.
	// +kubebuilder:validation:MaxLength=253
	PartOf string `json:"partOf,omitempty"`
	// Labels are used by outage policies: the labels with the same value in all alerts that have them, including look-ups.
	// A label cause:POLICY means that one of its alerts can be the cause for that outage policy. Where alerts differ,
	// first:LABEL is the value of those that began first, for policies that take it.
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
	// Incidents counts the incidents of an outage.
	Incidents *IncidentCounts `json:"incidents,omitempty"`
	// ProbableCause is the incident of an outage that explains the others, if there is one.
	ProbableCause *ProbableCause `json:"probableCause,omitempty"`
	// Evidence is what the incidents of an outage have in common: Label, Cause, or Time.
	// +kubebuilder:validation:Enum=Label;Cause;Time
	Evidence string `json:"evidence,omitempty"`
	// Confidence is high if the incidents share a label or a cause, low if they only began at the same time.
	// +kubebuilder:validation:Enum=high;low
	Confidence string `json:"confidence,omitempty"`
	// Parts are the most important incidents of an outage: the cause, then firing ones by severity; at most the policy's
	// maxListed.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=500
	Parts []Part `json:"parts,omitempty"`
	// Exemplar holds the annotations of the alert that opened the incident.
	Exemplar *Exemplar `json:"exemplar,omitempty"`
	// Hotspots are the most frequent label values of a storm, the most frequent first. Labels that all alerts share are in
	// commonLabels instead.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Hotspots []Hotspot `json:"hotspots,omitempty"`
	// CommonLabels are the labels with the same value in all alerts.
	CommonLabels map[string]string `json:"commonLabels,omitempty"`
	// Conditions are Storm (ThresholdCrossed; BelowThreshold) and Resolved (AllResolved, Quiet, MaxDuration, Absorbed;
	// AlertsFiring, Reopened).
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ResourceCount is the number of resources, listed or not.
	ResourceCount int32 `json:"resourceCount,omitempty"`
	// Resources that the alerts are about, each once, firing ones first; at most the policy's maxListed. See
	// resourceCount and truncated.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=500
	Resources []Resource `json:"resources,omitempty"`
	// Truncated is true when a list was cut, or when the counts are lower bounds: the policy's maxAlerts was
	// reached, or the sender left alerts out.
	Truncated bool `json:"truncated,omitempty"`
	// ObservedRevision is the revision of the group that this status shows: about the time of the change, in Unix
	// milliseconds. It never decreases.
	// +kubebuilder:validation:Maximum=99999999999999
	ObservedRevision int64 `json:"observedRevision,omitempty"`
	// Upkeep is for Stormfold itself: it restores the state of the group in Redis after Redis lost its data.
	// +optional
	Upkeep Upkeep `json:"upkeep,omitzero"`
}

// Upkeep are the tracked alerts of an incident in a compact form. kubectl sorts fields by name; by its name this one is
// the last of the status.
type Upkeep struct {
	// Members is base64 (RFC 4648, padded) of 8 bytes for each alert, its fingerprint as a big-endian number; the firing
	// ones first, each part in ascending order.
	// +kubebuilder:validation:MaxLength=131072
	Members string `json:"members,omitempty"`
	// Firing is the number of firing members, which come first.
	Firing int32 `json:"firing,omitempty"`
	// Parts are the incidents of an outage: base64 of a JSON list, compressed by DEFLATE. Where not all of them fit, those
	// that fire are kept.
	// +kubebuilder:validation:MaxLength=262144
	Parts string `json:"parts,omitempty"`
}

// IncidentCounts counts the incidents of an outage.
type IncidentCounts struct {
	// Total is the number of incidents.
	// +kubebuilder:validation:Minimum=0
	Total int32 `json:"total"`
	// Firing is the number of firing ones.
	// +kubebuilder:validation:Minimum=0
	Firing int32 `json:"firing"`
}

// ProbableCause is the incident that explains the others of an outage.
type ProbableCause struct {
	// Incident is the name of the incident.
	// +kubebuilder:validation:MaxLength=253
	Incident string `json:"incident"`
	// Policy is the outage policy whose cause it matches.
	// +kubebuilder:validation:MaxLength=63
	Policy string `json:"policy"`
	// About is its subject as Kind/namespace/name.
	// +kubebuilder:validation:MaxLength=4096
	About string `json:"about,omitempty"`
}

// Part is an incident of an outage.
type Part struct {
	// Name of the incident.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Namespace of the incident.
	// +kubebuilder:validation:MaxLength=253
	Namespace string `json:"namespace"`
	// Type is Alert, Storm or Outage.
	Type Type `json:"type"`
	// Firing is true while the incident fires.
	Firing bool `json:"firing"`
	// Severity of the incident.
	// +kubebuilder:validation:MaxLength=63
	Severity string `json:"severity,omitempty"`
	// About is its subject as Kind/namespace/name.
	// +kubebuilder:validation:MaxLength=4096
	About string `json:"about,omitempty"`
	// Alerts is the number of its alerts.
	// +kubebuilder:validation:Minimum=0
	Alerts int32 `json:"alerts"`
	// StartedAt is the earliest start of an alert.
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
}

// Subject is an object that all alerts of an incident are about.
type Subject struct {
	// Kind of the object, as in resources.
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind"`
	// Namespace of the object; empty for cluster-scoped objects such as a Node.
	// +kubebuilder:validation:MaxLength=1024
	Namespace string `json:"namespace,omitempty"`
	// Name of the object; empty for the Cluster.
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name,omitempty"`
}

// AlertCounts counts distinct alerts, by fingerprint. The counts are lower bounds if the group reached the policy's
// maxAlerts, or if the sender left alerts out.
type AlertCounts struct {
	// Total is the number of firing and resolved alerts, and of those beyond maxAlerts, whose status is unknown.
	// +kubebuilder:validation:Minimum=0
	Total int32 `json:"total"`
	// Firing is the number of firing ones.
	// +kubebuilder:validation:Minimum=0
	Firing int32 `json:"firing"`
	// Resolved is the number of resolved alerts.
	// +kubebuilder:validation:Minimum=0
	Resolved int32 `json:"resolved"`
	// Quiet is the number of resolved alerts that ended because they were not reported for the policy's quiet time.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Quiet int32 `json:"quiet,omitempty"`
}

// Resource is what an alert is about.
type Resource struct {
	// Kind as in Kubernetes (Pod, Node, ...), Cluster for the whole cluster, Instance or Endpoint for a scrape target, or
	// Alert if the labels name no object.
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind"`
	// Namespace of the resource; empty for cluster-scoped ones such as a Node.
	// +kubebuilder:validation:MaxLength=1024
	Namespace string `json:"namespace,omitempty"`
	// Name of the resource; empty for the Cluster, and if no label has it.
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name"`
	// Firing is true while at least one alert about it fires.
	Firing bool `json:"firing"`
}

// Hotspot is a label value that many alerts have.
type Hotspot struct {
	// Label is the label's name; workload is the owner, derived from the pod's name.
	// +kubebuilder:validation:MaxLength=1024
	Label string `json:"label"`
	// Value of the label.
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
	// Alerts is the number of alerts with that value; of an outage, the number of incidents.
	// +kubebuilder:validation:Minimum=0
	Alerts int32 `json:"alerts"`
	// Share of all tracked alerts, in percent, rounded; 100 only if all have it.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Share int32 `json:"share"`
}

// Exemplar has the annotations of an alert, for people.
type Exemplar struct {
	// Summary is the annotation summary.
	// +kubebuilder:validation:MaxLength=4096
	Summary string `json:"summary,omitempty"`
	// Description is the annotation description, or message.
	// +kubebuilder:validation:MaxLength=4096
	Description string `json:"description,omitempty"`
	// Runbook is the annotation runbook_url, or runbook.
	// +kubebuilder:validation:MaxLength=4096
	Runbook string `json:"runbook,omitempty"`
	// GeneratorURL is the URL of the rule that created the alert.
	// +kubebuilder:validation:MaxLength=4096
	GeneratorURL string `json:"generatorURL,omitempty"`
}

// IncidentList is a list of incidents.
//
// +kubebuilder:object:root=true
type IncidentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Incident `json:"items"`
}
