package main

import (
	"fmt"
	"hash/fnv"
	"maps"
	"strings"
)

// distribution has the label shapes of one set of alert rules as its charts or manifests ship it.
type distribution struct {
	name, prometheus string
	// target are the labels that every series of kube-state-metrics gets from its scrape, but instance and pod.
	target map[string]string
	// exporterPod says whether the pod of kube-state-metrics is among them, nodeName whether a node's instance is its
	// name.
	exporterPod, nodeName bool
	port                  int
	kubelet               string
	nodeExporter          map[string]string
	// exporter is the workload of kube-state-metrics, nodeExporters that of node-exporter.
	exporter, nodeExporters object
	// watchdog says whether the Watchdog reaches the receiver.
	watchdog bool
}

var distributions = []distribution{
	{
		name: "kube-prometheus-stack", prometheus: "monitoring/kube-prometheus-stack-prometheus",
		target: map[string]string{
			"container": "kube-state-metrics", "endpoint": "http", "job": "kube-state-metrics", "namespace": "monitoring",
			"service": "kube-prometheus-stack-kube-state-metrics",
		},
		exporterPod: true, port: 8080, kubelet: "kube-prometheus-stack-kubelet",
		nodeExporter: map[string]string{
			"container": "node-exporter", "endpoint": "http-metrics", "job": "node-exporter", "namespace": "monitoring",
			"service": "kube-prometheus-stack-prometheus-node-exporter",
		},
		exporter:      object{"Deployment", "monitoring", "kube-prometheus-stack-kube-state-metrics"},
		nodeExporters: object{"DaemonSet", "monitoring", "kube-prometheus-stack-prometheus-node-exporter"},
	},
	{
		name: "kube-prometheus", prometheus: "monitoring/k8s",
		target:   map[string]string{"container": "kube-rbac-proxy-main", "job": "kube-state-metrics"},
		nodeName: true, port: 8443, kubelet: "kubelet",
		nodeExporter: map[string]string{
			"container": "kube-rbac-proxy", "endpoint": "https", "job": "node-exporter", "namespace": "monitoring",
			"service": "node-exporter",
		},
		exporter:      object{"Deployment", "monitoring", "kube-state-metrics"},
		nodeExporters: object{"DaemonSet", "monitoring", "node-exporter"},
		watchdog:      true,
	},
}

// labelsOf are those that every alert has.
func (d *distribution) labelsOf(name, severity string) map[string]string {
	return map[string]string{"alertname": name, "severity": severity, "prometheus": d.prometheus}
}

// stateOf is an alert on a series of kube-state-metrics, scraped from one of its pods. A series' own labels win over
// those of the target.
func (d *distribution) stateOf(from object, name string, about object, more ...string) map[string]string {
	out := d.labelsOf(name, "warning")
	maps.Copy(out, d.target)
	out["instance"] = fmt.Sprintf("%s:%d", podAddress(from), d.port)
	if d.exporterPod {
		out["pod"] = from.Name
	}
	switch about.Kind {
	case "Job":
		out["job_name"] = about.Name
	default:
		out[strings.ToLower(about.Kind)] = about.Name
	}
	if about.Namespace != "" {
		out["namespace"] = about.Namespace
	}
	for n := 0; n < len(more); n += 2 {
		out[more[n]] = more[n+1]
	}
	return out
}

// notReady is KubePodNotReady, whose rule sums the labels of the target away.
func (d *distribution) notReady(p object) map[string]string {
	out := d.labelsOf("KubePodNotReady", "warning")
	out["job"], out["namespace"], out["pod"] = "kube-state-metrics", p.Namespace, p.Name
	return out
}

// kubeletOf is KubeletInstanceUnreachable of a node.
func (d *distribution) kubeletOf(c *cluster, name string) map[string]string {
	out := d.labelsOf("KubeletInstanceUnreachable", "warning")
	out["endpoint"], out["job"], out["metrics_path"] = "https-metrics", "kubelet", "/metrics"
	out["namespace"], out["service"], out["node"] = "kube-system", d.kubelet, name
	out["instance"] = c.Nodes[name].Address + ":10250"
	return out
}

// nodeOf is an alert on a series of a node's node-exporter.
func (d *distribution) nodeOf(c *cluster, name, node string) map[string]string {
	out := d.labelsOf(name, "warning")
	maps.Copy(out, d.nodeExporter)
	out["pod"] = d.nodeExporters.Name + "-" + random(5, d.nodeExporters.Name+node)
	out["instance"] = c.Nodes[node].Address + ":9100"
	if d.nodeName {
		out["instance"] = node
	}
	return out
}

// podAddress is the address of a pod, always the same for a name.
func podAddress(p object) string {
	h := fnv.New32a()
	h.Write([]byte(p.Namespace + "/" + p.Name))
	return fmt.Sprintf("10.32.%d.%d", h.Sum32()%32, h.Sum32()/32%250+2)
}

// uid is the UID of a pod, always the same for a name.
func uid(p object) string {
	h := fnv.New128a()
	h.Write([]byte(p.Namespace + "/" + p.Name))
	b := h.Sum(nil)
	return fmt.Sprintf("%x-%x-4%x-a%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])[:36]
}
