// Package lookup finds what the labels of an alert do not contain: the node of a pod, the zone of a node, and the
// workload of a pod. The package below it fills an inventory from a cluster; Read fills one from a file.
package lookup

import (
	"net"
	"strings"
	"sync"
	"time"

	"github.com/stormfold/stormfold/internal/subject"
)

// The names of what is found.
const (
	Node  = "node"
	Zone  = "zone"
	Owner = "owner"
)

// Inventory is what is known of a cluster. It is safe for concurrent use.
type Inventory struct {
	mu sync.RWMutex
	// nodes are the nodes by name, addresses their names by address.
	nodes     table[string, NodeInfo]
	addresses table[string, string]
	// pods are the pods by namespace and name.
	pods table[podName, PodInfo]
	// owners are the controllers of ReplicaSets and Jobs.
	owners table[subject.Resource, subject.Resource]
}

// podName is the namespace and the name of a pod.
type podName struct{ namespace, name string }

// NodeInfo is a node. Zone is its label topology.kubernetes.io/zone.
type NodeInfo struct {
	Addresses []string
	Zone      string
}

// PodInfo is a pod: its node, and the object that controls it.
type PodInfo struct {
	Node  string
	Owner subject.Resource
}

// New returns an empty inventory. The clock decides when what was deleted is forgotten.
func New(now func() time.Time) *Inventory {
	return &Inventory{
		nodes: newTable[string, NodeInfo](now), addresses: newTable[string, string](now),
		pods: newTable[podName, PodInfo](now), owners: newTable[subject.Resource, subject.Resource](now),
	}
}

// SetNode adds or replaces a node.
func (i *Inventory) SetNode(name string, node NodeInfo) {
	i.mu.Lock()
	defer i.mu.Unlock()
	before, _ := i.nodes.get(name)
	i.release(name, before.Addresses)
	i.nodes.set(name, node)
	for _, address := range node.Addresses {
		i.addresses.set(address, name)
	}
}

// RemoveNode removes a node that was deleted. Like everything deleted, it is found for another hour.
func (i *Inventory) RemoveNode(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	node, _ := i.nodes.get(name)
	i.release(name, node.Addresses)
	i.nodes.remove(name)
}

// release removes those addresses that still belong to the node.
func (i *Inventory) release(name string, addresses []string) {
	for _, address := range addresses {
		if of, _ := i.addresses.get(address); of == name {
			i.addresses.remove(address)
		}
	}
}

// SetPod adds or replaces a pod.
func (i *Inventory) SetPod(namespace, name string, pod PodInfo) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pods.set(podName{namespace, name}, pod)
}

// RemovePod removes a pod that was deleted.
func (i *Inventory) RemovePod(namespace, name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pods.remove(podName{namespace, name})
}

// SetOwner sets the controller of a ReplicaSet or Job.
func (i *Inventory) SetOwner(of, owner subject.Resource) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.owners.set(of, owner)
}

// RemoveOwner removes a ReplicaSet or Job that was deleted.
func (i *Inventory) RemoveOwner(of subject.Resource) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.owners.remove(of)
}

// Find returns what is known of the subject of an alert, nil for nothing.
func (i *Inventory) Find(r *subject.Reading) map[string]string {
	i.mu.RLock()
	defer i.mu.RUnlock()
	var out map[string]string
	set := func(name, value string) {
		if value == "" {
			return
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	node := r.Node
	switch of := r.Subject; of.Kind {
	case "Pod":
		pod, _ := i.pods.get(podName{of.Namespace, of.Name})
		if pod.Node != "" {
			node = pod.Node
		}
		owner := pod.Owner
		if above, known := i.owners.get(owner); known {
			owner = above
		}
		if owner.Kind != "" && owner.Name != "" {
			set(Owner, owner.Kind+"/"+owner.Name)
		}
	case subject.Endpoint, subject.Instance:
		node = of.Name // Other instances are not nodes.
	}
	info, known := i.nodes.get(node)
	if !known {
		if node, known = i.addresses.get(host(node)); known {
			info, known = i.nodes.get(node)
		}
	}
	if known {
		set(Node, node)
		set(Zone, info.Zone)
	}
	return out
}

// host is an address without its port.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return strings.Trim(address, "[]")
}
