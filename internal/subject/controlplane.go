package subject

import (
	"slices"
	"strings"
)

// controlPlane are the components of a control plane, as their jobs, Services and static pods are called.
var controlPlane = []string{"kube-apiserver", "kube-etcd", "kube-scheduler", "kube-controller-manager", "etcd"}

// controlPlaneAlerts are prefixes of alerts of the kubernetes-mixin that are about the control plane, whoever reports them.
var controlPlaneAlerts = []string{
	"KubeAPI", "KubeAggregatedAPI", "KubeClientErrors", "KubeScheduler", "KubeControllerManager",
}

// controlPlane tells whether the alert is about the API server, etcd, the scheduler or the controller manager.
func (r *Reading) controlPlane() bool {
	job := r.own("job")
	if r.controls(job) || r.controls(r.own("service")) || r.Subject.Kind == "Service" && r.controls(r.Subject.Name) {
		return true
	}
	if r.Subject.Kind == "Pod" && r.Subject.Namespace == systemNamespace {
		return slices.ContainsFunc(controlPlane, func(name string) bool { return strings.HasPrefix(r.Subject.Name, name+"-") })
	}
	alert := r.labels["alertname"]
	return slices.ContainsFunc(controlPlaneAlerts, func(prefix string) bool { return strings.HasPrefix(alert, prefix) }) ||
		job == "" && strings.HasPrefix(alert, "etcd") // Another etcd than that of Kubernetes has a job of its own.
}

// systemNamespace is where the static pods of a control plane are.
const systemNamespace = "kube-system"

// controls tells whether a job or Service is a component's. Charts put their release in front.
func (r *Reading) controls(name string) bool {
	switch name {
	case "":
		return false
	case "apiserver", "kubernetes-apiservers":
		return true
	case "etcd":
		return r.Namespace == systemNamespace
	}
	return slices.ContainsFunc(controlPlane, func(c string) bool {
		return c != "etcd" && (name == c || strings.HasSuffix(name, "-"+c))
	})
}

// own is a label of the alert, unless it is the target's.
func (r *Reading) own(name string) string {
	if slices.Contains(r.Target, name) {
		return ""
	}
	return r.labels[name]
}
