package subject

import (
	"slices"
	"strings"
)

// components are those of a control plane, as their jobs and Services are called.
var components = []string{"kube-apiserver", "kube-etcd", "kube-scheduler", "kube-controller-manager"}

// staticPods are how the names of their static pods begin.
var staticPods = []string{"kube-apiserver-", "etcd-", "kube-scheduler-", "kube-controller-manager-"}

// controlPlaneAlerts are prefixes of alerts of the kubernetes-mixin that are about the control plane, whoever reports
// them.
var controlPlaneAlerts = []string{
	"KubeAPI", "KubeAggregatedAPI", "KubeClientErrors", "KubeScheduler", "KubeControllerManager",
}

// controlPlane tells whether the alert is about the API server, etcd, the scheduler or the controller manager.
func (r *Reading) controlPlane() bool {
	job, alert := r.own("job"), r.labels["alertname"]
	switch {
	case r.controls(job), r.controls(r.own("service")), r.Subject.Kind == "Service" && r.controls(r.Subject.Name):
		return true
	case r.Subject.Kind == "Pod" && r.Namespace == systemNamespace && begins(r.Subject.Name, staticPods):
		return true
	case job == "" && strings.HasPrefix(alert, "etcd"): // Another etcd than that of Kubernetes has a job of its own.
		return true
	}
	return begins(alert, controlPlaneAlerts)
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
	return slices.ContainsFunc(components, func(c string) bool { return name == c || strings.HasSuffix(name, "-"+c) })
}

func begins(name string, with []string) bool {
	return slices.ContainsFunc(with, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// own is a label of the alert, unless it is the target's.
func (r *Reading) own(name string) string {
	if slices.Contains(r.Target, name) {
		return ""
	}
	return r.labels[name]
}
