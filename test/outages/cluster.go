package main

import (
	"fmt"
	"hash/fnv"
)

// cluster is the one that the project's own recordings are about: its workloads and where their pods run.
type cluster struct {
	Nodes map[string]node `json:"nodes"`
	Pods  map[string]pod  `json:"pods"` // By namespace/name.

	order []object // The pods in the order in which they were made.
}

type node struct {
	Address string `json:"address"`
	Zone    string `json:"zone"`
}

type pod struct {
	Node  string `json:"node"`
	Owner object `json:"owner"`
}

// nodes is how many nodes there are.
const nodes = 6

// workloads are what runs, with its number of pods; a DaemonSet has one on each node.
var workloads = []struct {
	object
	pods int
}{
	{object{"Deployment", "orders", "orders-api"}, 2},
	{object{"StatefulSet", "orders", "orders-db"}, 2},
	{object{"Deployment", "billing", "billing-worker"}, 6},
	{object{"Deployment", "catalog", "catalog-web"}, 5},
	{object{"StatefulSet", "catalog", "catalog-cache"}, 3},
	{object{"Deployment", "mail", "mailer"}, 4},
	{object{"DaemonSet", "edge", "edge-proxy"}, nodes},
	{object{"DaemonSet", "kube-system", "kube-proxy"}, nodes},
}

func nodeName(n int) string { return fmt.Sprintf("kiln-%d", n%nodes+1) }

// newCluster spreads the pods over the nodes, one after the other.
func newCluster() *cluster {
	c := &cluster{Nodes: map[string]node{}, Pods: map[string]pod{}}
	for n := range nodes {
		c.Nodes[nodeName(n)] = node{fmt.Sprintf("192.168.40.%d", 11+n), []string{"north", "south"}[n%2]}
	}
	next := 0
	for _, w := range workloads {
		for n := range w.pods {
			on := nodeName(next)
			if w.Kind == "DaemonSet" {
				on = nodeName(n)
			} else {
				next++
			}
			c.add(w.object, on, n, "a")
		}
	}
	return c
}

// add makes a pod of a workload, named as Kubernetes does. Version tells the ReplicaSets of a Deployment apart.
func (c *cluster) add(owner object, on string, number int, version string) object {
	p := object{"Pod", owner.Namespace, owner.Name}
	switch owner.Kind {
	case "StatefulSet":
		p.Name += fmt.Sprintf("-%d", number)
	case "Deployment":
		p.Name += "-" + random(10, owner.Name+version) + "-" + random(5, fmt.Sprint(owner.Name, version, number))
	default:
		p.Name += "-" + random(5, owner.Name+on)
	}
	if _, there := c.Pods[p.Namespace+"/"+p.Name]; !there {
		c.order = append(c.order, p)
	}
	c.Pods[p.Namespace+"/"+p.Name] = pod{on, owner}
	return p
}

// nodesOf are the nodes of a zone.
func (c *cluster) nodesOf(zone string) []object {
	var out []object
	for n := range nodes {
		if name := nodeName(n); c.Nodes[name].Zone == zone {
			out = append(out, object{Kind: "Node", Name: name})
		}
	}
	return out
}

// podsOn are the pods on a node.
func (c *cluster) podsOn(name string) []object {
	var out []object
	for _, p := range c.order {
		if c.Pods[p.Namespace+"/"+p.Name].Node == name {
			out = append(out, p)
		}
	}
	return out
}

// podsOf are the pods of a workload.
func (c *cluster) podsOf(owner object) []object {
	var out []object
	for _, p := range c.order {
		if c.Pods[p.Namespace+"/"+p.Name].Owner == owner {
			out = append(out, p)
		}
	}
	return out
}

// random is a text of the letters that Kubernetes takes for names that it makes, always the same for a seed.
func random(length int, seed string) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	h := fnv.New64a()
	h.Write([]byte(seed))
	n, out := h.Sum64(), make([]byte, length)
	for i := range out {
		out[i] = letters[n%uint64(len(letters))]
		n = n/uint64(len(letters)) + n<<53
	}
	return string(out)
}
