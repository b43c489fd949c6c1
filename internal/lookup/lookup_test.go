package lookup

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/subject"
)

func TestFind(t *testing.T) {
	inventory, err := Read([]byte(`{
		"nodes": {"worker-1": {"address": "10.0.1.11", "zone": "a"}, "worker-2": {"address": "10.0.1.12"}},
		"pods": {
			"shop/cart-0": {"node": "worker-1", "owner": {"kind": "StatefulSet", "namespace": "shop", "name": "cart"}},
			"shop/bare": {"node": "worker-2"},
			"shop/lost": {"node": "worker-9"}
		}}`))
	require.NoError(t, err)
	node := map[string]string{Node: "worker-1", Zone: "a"}
	for name, c := range map[string]struct{ labels, want map[string]string }{
		"a pod": {
			map[string]string{"namespace": "shop", "pod": "cart-0"},
			map[string]string{Node: "worker-1", Zone: "a", Owner: "StatefulSet/cart"},
		},
		"a pod without an owner": {
			map[string]string{"namespace": "shop", "pod": "bare"}, map[string]string{Node: "worker-2"},
		},
		"a pod of another namespace":  {map[string]string{"namespace": "till", "pod": "cart-0"}, nil},
		"a pod on a node that is not": {map[string]string{"namespace": "shop", "pod": "lost"}, nil},
		"a node": {
			map[string]string{"alertname": "KubeNodeNotReady", "job": "kube-state-metrics", "node": "worker-1"}, node,
		},
		"a node by its address": {
			map[string]string{"alertname": "NodeClockSkewDetected", "job": "node-exporter", "instance": "10.0.1.11:9100"}, node,
		},
		"an API server on a node": {
			map[string]string{"alertname": "KubeAPIInstanceUnreachable", "job": "apiserver", "instance": "10.0.1.11:6443"}, node,
		},
		"an address that is no node's": {
			map[string]string{"alertname": "NodeClockSkewDetected", "job": "node-exporter", "instance": "10.9.9.9:9100"}, nil,
		},
		"a service": {map[string]string{"alertname": "TargetDown", "namespace": "shop", "service": "cart"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := subject.Rules(nil).Read(c.labels)
			assert.Equal(t, c.want, inventory.Find(&r))
		})
	}
	_, err = Read([]byte(`[]`))
	require.ErrorContains(t, err, "an inventory has nodes {name: {address, zone}} and pods {namespace/name: {node, owner}}")
}
