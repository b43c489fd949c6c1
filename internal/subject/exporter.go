package subject

import (
	"net/netip"
	"strings"
)

// exporter is the exporter of an alert's series, if it reports on other objects than itself.
type exporter int

const (
	unknown exporter = iota
	// kubeStateMetrics reports on all objects of the API.
	kubeStateMetrics
	// nodeExporter reports on the node that its instance names.
	nodeExporter
	// kubelet reports on its node and on the pods and volumes there (also in cAdvisor's series).
	kubelet
	// apiServer reports on the control plane. Its targets are addresses of the Service kubernetes and have no pod.
	apiServer
)

// exporterOf looks at labels that stay the same when the exporter moves.
func exporterOf(labels map[string]string) exporter {
	job, service := labels["job"], labels["service"]
	if job == "" && strings.HasSuffix(service, "kubelet") {
		return kubelet
	}
	switch job {
	case "kubelet", "cadvisor", "kubernetes-cadvisor", "kubernetes-nodes-cadvisor":
		return kubelet
	case "apiserver", "kube-apiserver", "kubernetes-apiservers":
		return apiServer
	case "node", "node_exporter":
		return nodeExporter
	case "":
		switch labels["container"] { // Some rules leave the job out.
		case "kube-state-metrics":
			return kubeStateMetrics
		case "node-exporter":
			return nodeExporter
		}
		return unknown
	}
	switch {
	case isKubeStateMetrics(job):
		return kubeStateMetrics
	case strings.HasSuffix(job, "node-exporter"), strings.HasSuffix(job, "windows-exporter"):
		return nodeExporter
	case strings.HasSuffix(job, "-kubelet"):
		return kubelet
	}
	return unknown
}

// isKubeStateMetrics reads the name of a job, Service or container: the charts put their release in front.
func isKubeStateMetrics(name string) bool { return strings.HasSuffix(name, "kube-state-metrics") }

// targetsPod says whether the label pod is that of the scrape target, and the series is about something else.
func (r *reader) targetsPod() bool {
	l := r.labels
	switch {
	case r.exported:
		return true
	case r.from == nodeExporter:
		return l["instance"] != ""
	case r.from != kubeStateMetrics, l["uid"] != "": // Only series about a pod have a uid.
		return false
	}
	// A rule that keeps none of these labels of the target names the pod itself.
	if l["container"] == "" && l["endpoint"] == "" && l["service"] == "" {
		return false
	}
	pod, service := l["pod"], l["service"]
	return strings.Contains(pod, "kube-state-metrics") || service != "" && strings.HasPrefix(pod, service+"-")
}

// node is the node on which the subject runs, when it is none itself.
func (r *reader) node(kind string) string {
	l := r.labels
	if name := l["exported_node"]; name != "" {
		return name
	}
	if r.telemetry {
		if name := attribute(l, "node"); name != "" {
			return name
		}
	}
	if r.exported || r.from == kubeStateMetrics && kind != "Pod" {
		return ""
	}
	return l[LabelNode]
}

// findTarget names the labels that tell where the exporter runs. Its Service, port and container are not among them:
// they stay the same when it moves.
func (r *reader) findTarget(kind string) {
	l := r.labels
	switch {
	case r.exported:
		r.drop("pod")
		r.drop("instance")
		if l["exported_pod"] != "" || l["exported_node"] != "" {
			r.drop(LabelNode)
		}
	case r.from == kubeStateMetrics:
		r.drop("instance")
		if kind != "Pod" && r.targetsPod() {
			r.drop("pod")
			if kind != "Node" {
				r.drop(LabelNode)
			}
		}
	case r.from == nodeExporter && l["instance"] != "":
		if kind == "Node" {
			r.drop("pod")
		}
	case r.from == kubelet:
		switch kind {
		case "Node":
			if l[LabelNode] != "" {
				r.drop("instance")
			}
		case "Pod", "PersistentVolumeClaim":
			r.drop("instance")
			r.drop(LabelNode)
		}
	}
}

// drop says that a label is the target's, if the alert has it.
func (r *reader) drop(name string) {
	if _, there := r.labels[name]; there {
		r.target = append(r.target, name)
	}
}

// replicas are the labels by which the replicas of Prometheus and of Thanos' ruler differ.
func replicas(labels map[string]string) []string {
	var out []string
	for _, name := range [...]string{"prometheus_replica", "rule_replica"} {
		if _, there := labels[name]; there {
			out = append(out, name)
		}
	}
	return out
}

// host is an instance without its port.
func host(instance string) string {
	if i := strings.LastIndexByte(instance, ':'); i >= 0 && strings.Trim(instance[i+1:], "0123456789") == "" {
		if _, err := netip.ParseAddr(instance); err != nil { // An IPv6 address has colons of its own.
			instance = instance[:i]
		}
	}
	return strings.TrimSuffix(strings.TrimPrefix(instance, "["), "]")
}
