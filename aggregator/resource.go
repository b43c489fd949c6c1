package aggregator

import "regexp"

// Resource is what an alert is about. Kind is Kubernetes' own, Instance for a scrape target, or Alert when the labels name
// nothing. Namespace is empty for what has none.
type Resource struct{ Kind, Namespace, Name string }

// targets are the labels that name what an alert is about, the most specific first, as kube-prometheus sets them.
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
	{"horizontalpodautoscaler", "HorizontalPodAutoscaler", false},
	{"node", "Node", true},
	{"exported_namespace", "Namespace", true},
	{"namespace", "Namespace", true},
	{"service", "Service", false},
	{"instance", "Instance", true},
}

// exporter are the labels that describe kube-state-metrics itself in its own series, not what the series is about.
var exporter = map[string]bool{"service": true, "instance": true}

// ResourceOf is what an alert is about, from its labels.
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
		if name == "" || exporter[t.label] && labels["job"] == "kube-state-metrics" {
			continue
		}
		if t.cluster {
			return Resource{Kind: t.kind, Name: name}
		}
		return Resource{Kind: t.kind, Namespace: namespace, Name: name}
	}
	return Resource{Kind: "Alert", Name: labels["alertname"]}
}

// owners are the suffixes by which controllers name their pods. The letters are those of Kubernetes' safe names: no vowels, no
// 0, 1 or 3.
var owners = []struct {
	kind string
	name *regexp.Regexp
}{
	{"Deployment", regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$`)},
	{"DaemonSet", regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{5}$`)},
	{"StatefulSet", regexp.MustCompile(`^(.+)-[0-9]{1,5}$`)},
}

// Workload guesses the workload that a pod belongs to from its name, as Kind/name; other workloads are themselves; what
// has none is empty. A Job's pods are named like a DaemonSet's, and are taken for that.
func (r Resource) Workload() string {
	switch r.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob":
		return r.Kind + "/" + r.Name
	case "Pod":
		for _, owner := range owners {
			if m := owner.name.FindStringSubmatch(r.Name); m != nil {
				return owner.kind + "/" + m[1]
			}
		}
	}
	return ""
}
