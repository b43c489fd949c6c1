// Package subject reads from an alert's labels what the alert is about.
//
// The labels of an alert have two origins: the series of its rule, and the target that Prometheus scraped. For most
// exporters the two are the same thing. Some exporters report on other objects: kube-state-metrics of all objects of a
// cluster, node-exporter of a node, the kubelet of pods and volumes. There a pod, an instance or a namespace may be the
// exporter's own, and with honorLabels nothing in the label set says which. What is known of these exporters does.
//
// The package is pure. Rules are those of a policies file; those that are built in follow them.
package subject

// Resource is what an alert is about. Kind is Kubernetes' own, or one of those below. Namespace is empty for what lives
// in none. Name is empty where the labels name no object of that kind.
type Resource struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Kinds that are none of Kubernetes'.
const (
	// Cluster is the cluster as a whole: a component of its control plane, or what is summed up over all of it.
	Cluster = "Cluster"
	// Instance is a scrape target of which only the address is known. That of an API server is an Endpoint.
	Instance = "Instance"
	Endpoint = "Endpoint"
	// Alert is for labels that name nothing. Its name is the alert's.
	Alert = "Alert"
)

// unscoped are the kinds that live in no namespace.
var unscoped = map[string]bool{
	"Node": true, "Namespace": true, "PersistentVolume": true, "StorageClass": true, "APIService": true, Cluster: true,
	Alert: true,
}

// InNamespace is the namespace that a resource is in, or that it is.
func (r Resource) InNamespace() string {
	if r.Kind == "Namespace" {
		return r.Name
	}
	return r.Namespace
}

// Reading is what the labels of one alert say.
type Reading struct {
	Subject Resource
	// Namespace is the subject's own: the one by which alerts are grouped and counted. A Node has none, whatever the
	// labels say.
	Namespace string
	// Workload is the workload that the subject is or belongs to, as Kind/name. Node is the node that it is or runs on.
	// Both are empty when the labels do not tell.
	Workload, Node string
	// Target are the labels of the alert about the scrape target, or about the replica that evaluated the rule. They
	// change when another one reports the same alert, so they are no part of its identity.
	Target []string

	labels map[string]string
}

// Known is a reading that was remembered, with the labels that were.
func Known(of Resource, workload, node string, labels map[string]string) Reading {
	return Reading{Subject: of, Namespace: of.InNamespace(), Workload: workload, Node: node, labels: labels}
}

// Names of the labels that are derived from others. The first three may also be labels of the alert's own.
const (
	LabelNamespace = "namespace"
	LabelNode      = "node"
	LabelWorkload  = "workload"
	LabelKind      = "subject_kind"
	LabelName      = "subject_name"
	// LabelControlPlane is "true" for alerts about the control plane, and empty for others.
	LabelControlPlane = "control_plane"
	labelCluster      = "cluster"
)

// Value is the value of a derived label, or else of the alert's own label of that name. A label that is not there is
// the empty string.
func (r *Reading) Value(name string) string {
	switch name {
	case LabelNamespace:
		return r.Namespace
	case LabelNode:
		return r.Node
	case LabelWorkload:
		return r.Workload
	case LabelKind:
		return r.Subject.Kind
	case LabelName:
		return r.Subject.Name
	case LabelControlPlane:
		if r.controlPlane() {
			return "true"
		}
		return ""
	case labelCluster:
		return first(r.labels, labelCluster, "k8s.cluster.name", "k8s_cluster_name")
	}
	return r.labels[name]
}

// first is the first of the labels that has a value.
func first(labels map[string]string, names ...string) string {
	for _, name := range names {
		if value := labels[name]; value != "" {
			return value
		}
	}
	return ""
}
