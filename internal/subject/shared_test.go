package subject

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShared(t *testing.T) {
	on := func(node string, r Resource) About {
		a := Of(r)
		a.Node = node
		return a
	}
	pod := func(namespace, name string) Resource { return Resource{"Pod", namespace, name} }
	checkout, other := pod("shop", "checkout-7d9f8b6c5d-2bxkq"), pod("shop", "checkout-7d9f8b6c5d-4fzdm")
	cart, api := pod("shop", "cart-7d9f8b6c5d-2bxkq"), pod("search", "api-7d9f8b6c5d-2bxkq")
	for name, c := range map[string]struct {
		alerts []About
		want   Resource
	}{
		"none":                 {nil, Resource{}},
		"one alert":            {[]About{Of(checkout)}, checkout},
		"the same resource":    {[]About{Of(checkout), Of(checkout)}, checkout},
		"pods of one workload": {[]About{Of(checkout), Of(other)}, Resource{"Deployment", "shop", "checkout"}},
		"a workload and its pod": {[]About{Of(Resource{"Deployment", "shop", "checkout"}), Of(other)},
			Resource{"Deployment", "shop", "checkout"}},
		"the same name elsewhere":     {[]About{Of(checkout), Of(pod("test", "checkout-7d9f8b6c5d-4fzdm"))}, Resource{}},
		"pods of one node":            {[]About{on("a", checkout), on("a", api)}, Resource{"Node", "", "a"}},
		"a node and a pod on it":      {[]About{Of(Resource{"Node", "", "a"}), on("a", api)}, Resource{"Node", "", "a"}},
		"a node before the namespace": {[]About{on("a", checkout), on("a", cart)}, Resource{"Node", "", "a"}},
		"a workload before the node": {[]About{on("a", checkout), on("a", other)}, Resource{"Deployment", "shop",
			"checkout"}},
		"two workloads": {[]About{on("a", checkout), on("b", cart)}, Resource{"Namespace", "", "shop"}},
		"a namespace and its pod": {[]About{Of(Resource{"Namespace", "", "shop"}), Of(cart)}, Resource{"Namespace", "",
			"shop"}},
		"nothing": {[]About{on("a", checkout), on("b", api)}, Resource{}},
		"nodes":   {[]About{Of(Resource{"Node", "", "a"}), Of(Resource{"Node", "", "b"})}, Resource{}},
		"the cluster": {[]About{Of(Resource{Kind: Cluster}), Of(Resource{Kind: Cluster})},
			Resource{Kind: Cluster}},
		"one of which nothing is known": {[]About{Of(checkout), {}}, Resource{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Shared(slices.Values(c.alerts))
			require.Equal(t, c.want, got)
			require.Equal(t, c.want != Resource{}, ok)
			slices.Reverse(c.alerts)
			again, _ := Shared(slices.Values(c.alerts))
			require.Equal(t, got, again, "the order does not matter")
		})
	}
}
