package subject

import "strings"

// kind is a label that names an object, and the object's kind.
type kind struct{ label, kind string }

// objects are the labels by which series name what they are about, the most specific first.
var objects = []kind{
	{"job_name", "Job"},
	{"cronjob", "CronJob"},
	{"deployment", "Deployment"},
	{"statefulset", "StatefulSet"},
	{"daemonset", "DaemonSet"},
	{"replicaset", "ReplicaSet"},
	{"persistentvolumeclaim", "PersistentVolumeClaim"},
	{"persistentvolume", "PersistentVolume"},
	{"horizontalpodautoscaler", "HorizontalPodAutoscaler"},
	{"poddisruptionbudget", "PodDisruptionBudget"},
	{"resourcequota", "ResourceQuota"},
}

// rarer are further labels of kube-state-metrics. Other series have labels of these names that mean something else.
var rarer = []kind{
	{"replicationcontroller", "ReplicationController"},
	{"ingress", "Ingress"},
	{"networkpolicy", "NetworkPolicy"},
	{"limitrange", "LimitRange"},
	{"configmap", "ConfigMap"},
	{"secret", "Secret"},
	{"storageclass", "StorageClass"},
}

// telemetry are the resource attributes of OpenTelemetry, k8s.pod.name and so on, without the ends.
var telemetry = []kind{
	{"pod", "Pod"}, {"job", "Job"}, {"cronjob", "CronJob"}, {"deployment", "Deployment"}, {"statefulset", "StatefulSet"},
	{"daemonset", "DaemonSet"}, {"replicaset", "ReplicaSet"}, {"node", "Node"}, {"namespace", "Namespace"},
}

// attribute is the value of k8s.WHAT.name, or of k8s_WHAT_name, as Prometheus writes it without UTF-8 names.
func attribute(labels map[string]string, what string) string {
	return first(labels, "k8s."+what+".name", "k8s_"+what+"_name")
}

// prefixes of alert names tell what labels cannot: rules that sum up over all series leave nothing of them.
var prefixes = []struct{ prefix, kind, name string }{
	{"KubeAggregatedAPI", "APIService", "name"},
	{"KubeStateMetrics", "Deployment", ""}, // kube-state-metrics itself.
	{"PrometheusOperator", "Deployment", ""},
}

// reader reads one alert. Of what it decides, nothing depends on a label that it says is the target's: then alerts that
// differ in these alone have the same subject.
type reader struct {
	labels map[string]string
	from   exporter
	// telemetry and exported tell whether there are labels of OpenTelemetry, and labels of the series that Prometheus
	// renamed since the target has them too.
	telemetry, exported bool
	target              []string
}

// read applies the built-in rules.
func read(labels map[string]string) Reading {
	r := reader{labels: labels, from: exporterOf(labels), target: replicas(labels)}
	for name := range labels {
		switch {
		case strings.HasPrefix(name, "k8s"):
			r.telemetry = true
		case strings.HasPrefix(name, "exported_"):
			switch name {
			case "exported_pod", "exported_namespace", "exported_node", "exported_instance":
				r.exported = true
			}
		}
	}
	out := Reading{Subject: r.subject()}
	out.Node = r.node(out.Subject.Kind)
	r.findTarget(out.Subject.Kind)
	out.Target = r.target
	out.finish(labels)
	return out
}

// finish fills in what follows from the subject.
func (r *Reading) finish(labels map[string]string) {
	if unscoped[r.Subject.Kind] {
		r.Subject.Namespace = ""
	}
	if r.Subject.Kind == "Node" {
		r.Node = r.Subject.Name
	}
	r.Namespace = r.Subject.InNamespace()
	r.Workload = workload(r.Subject, labels)
	r.labels = labels
}

// namespace is the series' own.
func (r *reader) namespace() string {
	if r.telemetry {
		if ns := attribute(r.labels, "namespace"); ns != "" {
			return ns
		}
	}
	return first(r.labels, "exported_namespace", "namespace")
}

// named is a resource in the series' namespace.
func (r *reader) named(kind, name string) Resource {
	return Resource{Kind: kind, Namespace: r.namespace(), Name: name}
}

func (r *reader) subject() Resource {
	l := r.labels
	if kind, name := l["involved_kind"], l["involved_name"]; kind != "" &&
		name != "" { // A Kubernetes Event says it outright.
		return r.named(kind, name)
	}
	if r.telemetry {
		for _, t := range telemetry {
			if name := attribute(l, t.label); name != "" {
				return r.named(t.kind, name)
			}
		}
	}
	if name := l["exported_pod"]; name != "" {
		return r.named("Pod", name)
	}
	pod := l["pod"]
	if pod != "" && r.from != kubeStateMetrics && !r.targetsPod() {
		return r.named("Pod", pod)
	}
	for _, o := range objects {
		if name := l[o.label]; name != "" {
			return r.named(o.kind, name)
		}
	}
	if r.from == kubeStateMetrics {
		for _, o := range rarer {
			if name := l[o.label]; name != "" {
				return r.named(o.kind, name)
			}
		}
		if pod != "" && !r.targetsPod() {
			return r.named("Pod", pod)
		}
	}
	if name := r.nodeName(); name != "" {
		return Resource{Kind: "Node", Name: name}
	}
	return r.unnamed()
}

// nodeName is the node that an alert is about when it is about nothing smaller.
func (r *reader) nodeName() string {
	if name := first(r.labels, "exported_node", LabelNode); name != "" {
		return name
	}
	if r.from != nodeExporter && r.from != kubelet {
		return ""
	}
	if r.exported {
		return host(r.labels["exported_instance"])
	}
	return host(r.labels["instance"])
}

// unnamed is what an alert is about whose labels name neither an object of a workload nor a node.
func (r *reader) unnamed() Resource {
	l := r.labels
	if kind := workloadTypes[strings.ToLower(l["workload_type"])]; kind != "" && l[LabelWorkload] != "" {
		return r.named(kind, l[LabelWorkload])
	}
	for _, p := range prefixes {
		if strings.HasPrefix(l["alertname"], p.prefix) && (p.name == "" || l[p.name] != "") {
			return r.named(p.kind, l[p.name])
		}
	}
	if name := l["exported_service"]; name != "" {
		return r.named("Service", name)
	}
	instance := l["exported_instance"]
	if instance == "" && r.from != kubeStateMetrics && !r.exported {
		instance = l["instance"]
	}
	if r.from == apiServer && instance != "" {
		return r.named(Endpoint, instance)
	}
	// A series of kube-state-metrics has the service together with the endpoint; a rule about targets has it alone.
	if name := l["service"]; name != "" && !r.exported &&
		(r.from != kubeStateMetrics || l["endpoint"] == "" || !isKubeStateMetrics(name)) {
		return r.named("Service", name)
	}
	if instance != "" {
		return r.named(Instance, instance)
	}
	namespace := r.namespace()
	switch job := l["job"]; {
	case namespace == "" && strings.HasPrefix(l["alertname"], "Kube"):
		return Resource{Kind: Cluster}
	case job != "" && !r.exported && (r.from == unknown || namespace == ""):
		return r.named("Service", job)
	case namespace != "":
		return Resource{Kind: "Namespace", Name: namespace}
	}
	return Resource{Kind: Alert, Name: l["alertname"]}
}
