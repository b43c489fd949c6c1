package handlers

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stormfold/stormfold/aggregator"
)

// kubeEvent is the part of a Kubernetes Event that is read, of core/v1 and of events.k8s.io, which has other names for
// the same fields.
type kubeEvent struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		CreationTimestamp string `json:"creationTimestamp"`
	} `json:"metadata"`
	Type   string `json:"type"`
	Reason string `json:"reason"`

	InvolvedObject kubeReference `json:"involvedObject"`
	Message        string        `json:"message"`
	FirstTimestamp string        `json:"firstTimestamp"`
	LastTimestamp  string        `json:"lastTimestamp"`
	Source         kubeSource    `json:"source"`

	Regarding                kubeReference `json:"regarding"`
	Note                     string        `json:"note"`
	EventTime                string        `json:"eventTime"`
	DeprecatedFirstTimestamp string        `json:"deprecatedFirstTimestamp"`
	DeprecatedLastTimestamp  string        `json:"deprecatedLastTimestamp"`
	Series                   struct {
		LastObservedTime string `json:"lastObservedTime"`
	} `json:"series"`
	DeprecatedSource kubeSource `json:"deprecatedSource"`
}

type kubeReference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

type kubeSource struct {
	Host string `json:"host"`
}

// kubeLabels are the labels by which alerts name objects of these kinds; package subject reads them. An object of any
// other kind is named by involved_kind and involved_name.
var kubeLabels = map[string]string{
	"Pod": "pod", "Job": "job_name", "CronJob": "cronjob", "Deployment": "deployment", "StatefulSet": "statefulset",
	"DaemonSet": "daemonset", "ReplicaSet": "replicaset", "PersistentVolumeClaim": "persistentvolumeclaim",
	"HorizontalPodAutoscaler": "horizontalpodautoscaler", "Node": "node", "Namespace": "namespace",
}

// clusterKinds live in no namespace, though some reporters write one into their reference.
var clusterKinds = map[string]bool{"Node": true, "Namespace": true, "PersistentVolume": true}

const (
	warning = "Warning"
	// labelEventType marks alerts from Kubernetes Events, which have no resolution.
	labelEventType = "event_type"
	// ownGroup is the API group of incidents. Events about them must not become an incident.
	ownGroup = "stormfold.io/"
)

// decodeKubeEvent makes a firing alert of a Warning, with its reason as the name. It has no resolution: it ends by its
// policy's quiet. For any other Event the batch is empty.
func decodeKubeEvent(data []byte, at time.Time) (aggregator.Batch, *Invalid) {
	if !utf8.Valid(data) {
		return aggregator.Batch{}, &Invalid{Field: "data", Problem: "it is not valid UTF-8"}
	}
	var e kubeEvent
	if invalid := unmarshal(data, &e); invalid != nil {
		return aggregator.Batch{}, invalid
	}
	if e.Kind != "Event" {
		return aggregator.Batch{}, &Invalid{Field: "kind", Problem: quote(e.Kind) + " is not Event"}
	}
	object, field := e.InvolvedObject, "involvedObject"
	switch {
	case e.APIVersion == "v1":
	case strings.HasPrefix(e.APIVersion, "events.k8s.io/"):
		object, field = e.Regarding, "regarding"
	default:
		return aggregator.Batch{}, &Invalid{
			Field:   "apiVersion",
			Problem: quote(e.APIVersion) + " is neither v1 nor events.k8s.io/v1",
		}
	}
	switch {
	case e.Type != warning || strings.HasPrefix(object.APIVersion, ownGroup):
		return aggregator.Batch{}, nil
	case e.Reason == "":
		return aggregator.Batch{}, &Invalid{Field: "reason", Problem: "it is missing"}
	case object.Kind == "":
		return aggregator.Batch{}, &Invalid{Field: field + ".kind", Problem: "it is missing"}
	case object.Name == "":
		return aggregator.Batch{}, &Invalid{Field: field + ".name", Problem: "it is missing"}
	}
	sent := alert{
		Status: string(aggregator.Firing), StartsAt: e.startsAt(), Labels: e.labels(object),
		Annotations: map[string]string{"summary": cmp.Or(e.Message, e.Note)},
	}
	a, invalid := sent.validate(at)
	if invalid != nil {
		return aggregator.Batch{}, invalid
	}
	a.NotifiedAt = e.saidAt(at)
	return aggregator.Batch{Alerts: []aggregator.Alert{a}}, nil
}

// saidAt is when the Event last happened, at the latest when its CloudEvent came: a source that lists all Events again
// reports nothing new.
func (e *kubeEvent) saidAt(at time.Time) time.Time {
	last := time.Time{}
	for _, text := range []string{e.LastTimestamp, e.DeprecatedLastTimestamp, e.Series.LastObservedTime, e.EventTime} {
		if parsed, invalid := parseTime("", text); invalid == nil && parsed.After(last) {
			last = parsed.Truncate(time.Millisecond)
		}
	}
	if last.IsZero() || last.After(at) {
		return at
	}
	return last
}

// labels are those of an alert about that object: the same ones for every repetition of the Event.
func (e *kubeEvent) labels(object kubeReference) map[string]string {
	labels := map[string]string{"alertname": e.Reason, "severity": "warning", "kind": object.Kind, labelEventType: e.Type}
	if !clusterKinds[object.Kind] {
		labels["namespace"] = object.Namespace
	}
	if name, known := kubeLabels[object.Kind]; known {
		labels[name] = object.Name
	} else {
		labels["involved_kind"], labels["involved_name"] = object.Kind, object.Name
	}
	if object.Kind == "Pod" { // Only the kubelet sets the host, its node.
		labels["node"] = cmp.Or(e.Source.Host, e.DeprecatedSource.Host)
	}
	return labels
}

// startsAt is the first time that the Event has; newer reporters leave the first timestamp out, and some all but the
// object's creation. A value that is not a time counts as absent.
func (e *kubeEvent) startsAt() string {
	for _, text := range []string{e.FirstTimestamp, e.DeprecatedFirstTimestamp, e.EventTime,
		e.Metadata.CreationTimestamp} {
		if parsed, invalid := parseTime("", text); invalid == nil && !parsed.IsZero() {
			return text
		}
	}
	return ""
}
