package subject

import "strings"

// owners are the labels that name a workload outright.
var owners = []kind{
	{"deployment", "Deployment"},
	{"statefulset", "StatefulSet"},
	{"daemonset", "DaemonSet"},
	{"job_name", "Job"},
}

// workloadTypes are the values of the label workload_type of the recording rules that name workloads.
var workloadTypes = map[string]string{
	"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet", "replicaset": "ReplicaSet",
	"job": "Job", "cronjob": "CronJob",
}

// workload is the workload that a subject is or belongs to, as Kind/name.
func workload(of Resource, labels map[string]string) string {
	switch of.Kind {
	case "Pod":
		for _, owner := range owners {
			if name := labels[owner.label]; name != "" {
				return Resource{Kind: owner.kind, Name: name}.Workload()
			}
		}
		if labels["k8s.pod.name"] != "" || labels["k8s_pod_name"] != "" {
			for _, t := range telemetry[1:6] {
				if name := attribute(labels, t.label); name != "" {
					return Resource{Kind: t.kind, Name: name}.Workload()
				}
			}
		}
	case "HorizontalPodAutoscaler":
		if kind, name := labels["scaletargetref_kind"], labels["scaletargetref_name"]; kind != "" && name != "" {
			return kind + "/" + name
		}
	case "Node":
		return ""
	}
	if w := of.Workload(); w != "" {
		return w
	}
	return labels[LabelWorkload]
}

// Workload is the workload that a resource is or, by its name, seems to belong to, as Kind/name; empty when there is
// none. A pod's name tells its controller by its suffix:
//
//	web-7d9c6b8f4d-x2k8v   Deployment/web    the hash of the ReplicaSet (8 to 10), then 5 random characters
//	backup-28912345-x2k8v  CronJob/backup    the minute of the Job, then 5 random characters
//	agent-x2k8v            DaemonSet/agent   5 random characters; so are the pods of a bare ReplicaSet or Job named
//	db-0                   StatefulSet/db    the ordinal
//
// A ReplicaSet and a Job are the Deployment's and CronJob's that their names tell, and a PodDisruptionBudget mostly has
// the name of the Deployment that it is for. All of that is a guess, good enough to say what many alerts have in
// common.
func (r Resource) Workload() string {
	if r.Name == "" {
		return ""
	}
	switch r.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "CronJob":
		return r.Kind + "/" + r.Name
	case "Pod":
		return podOwner(r.Name)
	case "ReplicaSet":
		if name, hash, ok := cutLast(r.Name); ok && isTemplateHash(hash) {
			return "Deployment/" + name
		}
		return "ReplicaSet/" + r.Name
	case "Job":
		if name, minute, ok := cutLast(r.Name); ok && isMinute(minute) {
			return "CronJob/" + name
		}
		return "Job/" + r.Name
	case "PodDisruptionBudget":
		return "Deployment/" + r.Name
	}
	return ""
}

// safeCharacters are those of random names in Kubernetes: no vowels, and no digits that look like them.
const safeCharacters = "bcdfghjklmnpqrstvwxz2456789"

func podOwner(pod string) string {
	base, suffix, ok := cutLast(pod)
	switch {
	case !ok:
		return ""
	case len(suffix) == 5 && consistsOf(suffix, safeCharacters):
		name, hash, ok := cutLast(base)
		switch {
		case ok && isMinute(hash):
			return "CronJob/" + name
		case ok && isTemplateHash(hash):
			return "Deployment/" + name
		}
		return "DaemonSet/" + base
	case len(suffix) <= 5 && consistsOf(suffix, digits):
		return "StatefulSet/" + base
	}
	return ""
}

const digits = "0123456789"

// isTemplateHash tells the hash of a pod template, by which a Deployment names its ReplicaSets.
func isTemplateHash(s string) bool {
	return len(s) >= 8 && len(s) <= 10 && consistsOf(s, safeCharacters)
}

// isMinute tells a time in minutes, by which a CronJob names its Jobs.
func isMinute(s string) bool { return len(s) == 8 && consistsOf(s, digits) }

// cutLast cuts a name at its last dash; both parts have to be there.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 || i == len(s)-1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func consistsOf(s, characters string) bool { return strings.Trim(s, characters) == "" }
