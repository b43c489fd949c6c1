package subject

import "strings"

// components are those of the control plane, as their jobs, Services and static pods are named.
var components = []string{"etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"}

// mixinPrefixes begin the names of the kubernetes-mixin's alerts about the control plane. Rules that sum up over all
// series leave no label that says so.
var mixinPrefixes = []string{"etcd", "KubeAPI", "KubeScheduler", "KubeControllerManager", "KubeClientErrors"}

// ofControlPlane tells whether an alert is about the API server, etcd, the scheduler or the controller manager.
func (r *Reading) ofControlPlane() bool {
	for _, prefix := range mixinPrefixes {
		if strings.HasPrefix(r.labels["alertname"], prefix) {
			return true
		}
	}
	_, workload, _ := strings.Cut(r.Workload, "/")
	for _, component := range components {
		// A static pod is named after its component and its node.
		if r.Namespace == "kube-system" && strings.HasPrefix(workload+"-", component+"-") {
			return true
		}
		// Charts put their release in front.
		if r.Subject.Kind == "Service" && strings.HasSuffix("-"+r.Subject.Name, "-"+component) {
			return true
		}
	}
	return exporterOf(r.labels) == apiServer && r.Subject.Kind != "Pod"
}
