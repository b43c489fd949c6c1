package subject

import (
	"iter"
	"strings"
)

// About is what one alert is about, from the smallest object to the largest. Parts that are not known are empty.
type About struct {
	Resource Resource
	// Workload and Node are those of a Reading. Namespace is that of the workload.
	Workload, Node, Namespace string
}

// Of is what an object says about itself: it is its own workload, node or namespace, if it is one of these.
func Of(r Resource) About {
	a := About{Resource: r, Workload: r.Workload(), Namespace: r.InNamespace()}
	if r.Kind == "Node" {
		a.Node = r.Name
	}
	return a
}

// Shared is the smallest object that all alerts are about: the resource itself, or else its workload, its node, or its
// namespace. It returns false when they share none of these, or when there is no alert.
func Shared(alerts iter.Seq[About]) (Resource, bool) {
	var all About
	any := false
	for a := range alerts {
		if !any {
			all, any = a, true
			continue
		}
		if a.Resource != all.Resource {
			all.Resource = Resource{}
		}
		if a.Namespace != all.Namespace {
			all.Namespace, all.Workload = "", ""
		}
		if a.Workload != all.Workload {
			all.Workload = ""
		}
		if a.Node != all.Node {
			all.Node = ""
		}
	}
	kind, name, isWorkload := strings.Cut(all.Workload, "/")
	switch {
	case all.Resource.Kind != "":
		return all.Resource, true
	case isWorkload:
		return Resource{Kind: kind, Namespace: all.Namespace, Name: name}, true
	case all.Node != "":
		return Resource{Kind: "Node", Name: all.Node}, true
	case all.Namespace != "":
		return Resource{Kind: "Namespace", Name: all.Namespace}, true
	}
	return Resource{}, false
}
