package lookup

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/internal/subject"
)

func find(i *Inventory, labels map[string]string) map[string]string {
	r := subject.Rules(nil).Read(labels)
	return i.Find(&r)
}

func pod(name string) map[string]string { return map[string]string{"namespace": "shop", "pod": name} }

func instance(address string) map[string]string {
	return map[string]string{"alertname": "NodeClockSkewDetected", "job": "node-exporter", "instance": address}
}

// The owner is the workload: through ReplicaSet and Job, in whatever order the objects become known.
func TestOwners(t *testing.T) {
	i := New(time.Now)
	of := func(kind, name string) subject.Resource {
		return subject.Resource{Kind: kind, Namespace: "shop", Name: name}
	}
	i.SetPod("shop", "web-1", PodInfo{Owner: of("ReplicaSet", "web-5f")})
	require.Equal(t, map[string]string{Owner: "ReplicaSet/web-5f"}, find(i, pod("web-1")))
	i.SetOwner(of("ReplicaSet", "web-5f"), of("Deployment", "web"))
	i.SetOwner(of("Job", "night-1"), of("CronJob", "night"))
	i.SetPod("shop", "night-1-x", PodInfo{Owner: of("Job", "night-1")})
	require.Equal(t, map[string]string{Owner: "Deployment/web"}, find(i, pod("web-1")))
	require.Equal(t, map[string]string{Owner: "CronJob/night"}, find(i, pod("night-1-x")))
	require.Nil(t, find(i, pod("web-2")))

	// Garbage collection deletes the ReplicaSet before its pods.
	i.RemoveOwner(of("ReplicaSet", "web-5f"))
	i.RemovePod("shop", "web-1")
	require.Equal(t, map[string]string{Owner: "Deployment/web"}, find(i, pod("web-1")))
}

func TestAddresses(t *testing.T) {
	i := New(time.Now)
	i.SetNode("n1", NodeInfo{Addresses: []string{"10.0.0.1", "fd00::1"}, Zone: "a"})
	want := map[string]string{Node: "n1", Zone: "a"}
	for _, address := range []string{"10.0.0.1", "10.0.0.1:9100", "fd00::1", "[fd00::1]:9100", "n1"} {
		require.Equal(t, want, find(i, instance(address)), address)
	}
	// Another node gets the address.
	i.SetNode("n2", NodeInfo{Addresses: []string{"10.0.0.1"}})
	require.Equal(t, map[string]string{Node: "n2"}, find(i, instance("10.0.0.1:9100")))
	i.RemoveNode("n1")
	require.Equal(t, map[string]string{Node: "n2"}, find(i, instance("10.0.0.1:9100")))
	require.Equal(t, want, find(i, instance("[fd00::1]:9100")), "remembered")
}

// What was deleted is found for an hour, and there is a limit to how much that is.
func TestDeletedIsRemembered(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	i := New(func() time.Time { return now })
	i.SetNode("n1", NodeInfo{})
	i.SetPod("shop", "a", PodInfo{Node: "n1"})
	i.RemovePod("shop", "a")
	now = now.Add(time.Hour - time.Second)
	require.Equal(t, map[string]string{Node: "n1"}, find(i, pod("a")))
	now = now.Add(time.Second)
	require.Nil(t, find(i, pod("a")))

	i.SetPod("shop", "a", PodInfo{Node: "n1"})
	i.RemovePod("shop", "a")
	for n := range maxDeleted - 1 {
		i.SetPod("shop", fmt.Sprint("b-", n), PodInfo{Node: "n1"})
		i.RemovePod("shop", fmt.Sprint("b-", n))
	}
	require.NotNil(t, find(i, pod("a")))
	require.Len(t, i.pods.deleted, maxDeleted)
	i.SetPod("shop", "c", PodInfo{Node: "n1"})
	i.RemovePod("shop", "c")
	require.Nil(t, find(i, pod("a")))
	require.Len(t, i.pods.deleted, maxDeleted)
	require.Empty(t, i.pods.live)
}

// A pod of a StatefulSet is deleted and made again under the same name.
func TestDeletedAndMadeAgain(t *testing.T) {
	i := New(time.Now)
	i.SetNode("n1", NodeInfo{})
	i.SetNode("n2", NodeInfo{})
	i.SetPod("shop", "cart-0", PodInfo{Node: "n1"})
	i.RemovePod("shop", "cart-0")
	i.SetPod("shop", "cart-0", PodInfo{Node: "n2"})
	require.Equal(t, map[string]string{Node: "n2"}, find(i, pod("cart-0")))
}

func TestConcurrentUse(t *testing.T) {
	i := New(time.Now)
	i.SetNode("n1", NodeInfo{Addresses: []string{"10.0.0.1"}})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				i.SetPod("shop", "a", PodInfo{Node: "n1"})
				require.NotNil(t, find(i, instance("10.0.0.1")))
				i.RemovePod("shop", "a")
			}
		})
	}
	all.Wait()
	require.Equal(t, map[string]string{Node: "n1"}, find(i, pod("a")))
}
