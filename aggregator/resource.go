package aggregator

import "strings"

// Resource is what an alert is about. Kind is Kubernetes' own, Instance for a scrape target, or Alert when the labels name
// nothing. Namespace is empty for what lives in none.
type Resource struct{ Kind, Namespace, Name string }

// targets are the labels that name what an alert is about, the most specific first, as kube-prometheus sets them. Where
// Prometheus found a label of that name on the target as well, it renamed the series' own to exported_: that one counts.
var targets = []struct {
	label, kind string
	cluster     bool // It lives in no namespace.
}{
	{"exported_pod", "Pod", false},
	{"pod", "Pod", false},
	{"job_name", "Job", false},
	{"cronjob", "CronJob", false},
	{"deployment", "Deployment", false},
	{"statefulset", "StatefulSet", false},
	{"daemonset", "DaemonSet", false},
	{"replicaset", "ReplicaSet", false},
	{"persistentvolumeclaim", "PersistentVolumeClaim", false},
	{"persistentvolume", "PersistentVolume", true},
	{"horizontalpodautoscaler", "HorizontalPodAutoscaler", false},
	{"exported_node", "Node", true},
	{"node", "Node", true},
	{"exported_namespace", "Namespace", true},
	{"namespace", "Namespace", true},
	{"exported_service", "Service", false},
	{"service", "Service", false},
	{"instance", "Instance", true},
}

// ResourceOf is what an alert is about, from its labels. An alert made from a Kubernetes Event may say it outright, with
// involved_kind and involved_name.
func ResourceOf(labels map[string]string) Resource {
	namespace := labels["exported_namespace"]
	if namespace == "" {
		namespace = labels["namespace"]
	}
	if kind, name := labels["involved_kind"], labels["involved_name"]; kind != "" && name != "" {
		return Resource{Kind: kind, Namespace: namespace, Name: name}
	}
	for _, t := range targets {
		name := labels[t.label]
		if name == "" || describesExporter(t.label, labels) {
			continue
		}
		if t.cluster {
			return Resource{Kind: t.kind, Name: name}
		}
		return Resource{Kind: t.kind, Namespace: namespace, Name: name}
	}
	return Resource{Kind: "Alert", Name: labels["alertname"]}
}

// describesExporter says whether a label of a series of kube-state-metrics names kube-state-metrics itself: service and
// instance always do, and pod does where exported_namespace tells that the series' own labels were renamed.
func describesExporter(label string, labels map[string]string) bool {
	switch label {
	case "service", "instance":
	case "pod":
		if labels["exported_namespace"] == "" {
			return false
		}
	default:
		return false
	}
	return strings.HasSuffix(labels["job"], "kube-state-metrics")
}
