// Package lookup finds what the labels of an alert do not tell: on which node a pod runs, in which zone a node is, and
// to which workload a pod belongs. It is pure.
package lookup

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/stormfold/stormfold/internal/subject"
)

// The names of what is found.
const (
	Node  = "node"
	Zone  = "zone"
	Owner = "owner"
)

// Inventory is what is known of a cluster.
type Inventory struct {
	// Nodes are the nodes by name, Pods the pods by namespace/name.
	Nodes map[string]NodeInfo `json:"nodes"`
	Pods  map[string]PodInfo  `json:"pods"`

	byAddress map[string]string
}

// NodeInfo is a node. Address is its internal one, Zone its label topology.kubernetes.io/zone.
type NodeInfo struct {
	Address string `json:"address"`
	Zone    string `json:"zone"`
}

// PodInfo is a pod: its node, and the workload that controls it.
type PodInfo struct {
	Node  string           `json:"node"`
	Owner subject.Resource `json:"owner"`
}

// Read reads an inventory from JSON.
func Read(content []byte) (*Inventory, error) {
	var i Inventory
	if err := json.Unmarshal(content, &i); err != nil {
		return nil, fmt.Errorf("an inventory has nodes {name: {address, zone}} and pods {namespace/name: {node, owner}}: %w", err)
	}
	i.byAddress = map[string]string{}
	for name, node := range i.Nodes {
		if node.Address != "" {
			i.byAddress[node.Address] = name
		}
	}
	return &i, nil
}

// Find is what is known of the subject of an alert, nil for nothing.
func (i *Inventory) Find(r *subject.Reading) map[string]string {
	out := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	node := r.Node
	switch of := r.Subject; of.Kind {
	case "Pod":
		pod := i.Pods[of.Namespace+"/"+of.Name]
		if pod.Node != "" {
			node = pod.Node
		}
		if pod.Owner.Kind != "" && pod.Owner.Name != "" {
			set(Owner, pod.Owner.Kind+"/"+pod.Owner.Name)
		}
	case subject.Endpoint, subject.Instance:
		node = i.byAddress[host(of.Name)] // Other instances are not nodes.
	}
	if name, known := i.byAddress[host(node)]; known {
		node = name
	}
	if info, known := i.Nodes[node]; known {
		set(Node, node)
		set(Zone, info.Zone)
	}
	if len(out) == 0 {
		return nil
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
