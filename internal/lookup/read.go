package lookup

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stormfold/stormfold/internal/subject"
)

// Read reads an inventory from JSON.
func Read(content []byte) (*Inventory, error) {
	var file struct {
		Nodes map[string]struct {
			Address   string   `json:"address"`
			Addresses []string `json:"addresses"`
			Zone      string   `json:"zone"`
		} `json:"nodes"`
		Pods map[string]struct {
			Node  string           `json:"node"`
			Owner subject.Resource `json:"owner"`
		} `json:"pods"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("an inventory has nodes {name: {address, zone}} and pods {namespace/name: {node, owner}}: %w",
			err)
	}
	i := New(time.Now)
	for name, node := range file.Nodes {
		addresses := node.Addresses
		if node.Address != "" {
			addresses = append(addresses, node.Address)
		}
		i.SetNode(name, NodeInfo{Addresses: addresses, Zone: node.Zone})
	}
	for key, pod := range file.Pods {
		namespace, name, _ := strings.Cut(key, "/")
		i.SetPod(namespace, name, PodInfo{Node: pod.Node, Owner: pod.Owner})
	}
	return i, nil
}
