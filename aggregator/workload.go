package aggregator

import "strings"

// owners are the labels that name a workload outright.
var owners = []struct{ label, kind string }{
	{"deployment", "Deployment"}, {"statefulset", "StatefulSet"}, {"daemonset", "DaemonSet"}, {"job_name", "Job"},
}

// Workload is the workload that an alert's labels name, as Kind/name, or else the one guessed from its resource.
func Workload(labels map[string]string) string {
	for _, owner := range owners {
		if name := labels[owner.label]; name != "" {
			return owner.kind + "/" + name
		}
	}
	return ResourceOf(labels).Workload()
}

// Workload is the workload that a resource is or, for a pod, seems to belong to, as Kind/name; empty when there is none.
// A pod's name tells its controller by its suffix:
//
//	web-7d9c6b8f4d-x2k8v   Deployment/web    the hash of the ReplicaSet (8 to 10), then 5 random characters
//	backup-28912345-x2k8v  CronJob/backup    the minute of the Job, then 5 random characters
//	agent-x2k8v            DaemonSet/agent   5 random characters; so are the pods of a bare ReplicaSet or Job named
//	db-0                   StatefulSet/db    the ordinal
//
// It is a guess, good enough to say what many alerts have in common.
func (r Resource) Workload() string {
	switch r.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob":
		return r.Kind + "/" + r.Name
	case "Pod":
		return podOwner(r.Name)
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
		case ok && len(hash) == 8 && consistsOf(hash, "0123456789"):
			return "CronJob/" + name
		case ok && len(hash) >= 8 && len(hash) <= 10 && consistsOf(hash, safeCharacters):
			return "Deployment/" + name
		}
		return "DaemonSet/" + base
	case len(suffix) <= 5 && consistsOf(suffix, "0123456789"):
		return "StatefulSet/" + base
	}
	return ""
}

// cutLast cuts a name at its last dash; both parts have to be there.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 || i == len(s)-1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func consistsOf(s, characters string) bool { return strings.Trim(s, characters) == "" }
