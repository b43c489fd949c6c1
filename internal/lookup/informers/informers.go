// Package informers keeps an inventory of a cluster up to date by list and watch of its pods, nodes, ReplicaSets and
// Jobs. It keeps no more of each object than look-ups need.
package informers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/stormfold/stormfold/internal/lookup"
)

// owning are the objects between a pod and its workload.
var owning = map[string]schema.GroupVersionResource{
	"ReplicaSet": {Group: "apps", Version: "v1", Resource: "replicasets"},
	"Job":        {Group: "batch", Version: "v1", Resource: "jobs"},
}

// Cluster is an inventory that follows a cluster.
type Cluster struct {
	inventory *lookup.Inventory
	synced    []cache.InformerSynced
	stop      func()
}

// Start begins to follow a cluster and returns at once, whether the API server can be reached or not. Failed is called
// with each error of a list or watch, which is repeated with growing pauses.
func Start(config *rest.Config, failed func(error)) (*Cluster, error) {
	objects := rest.CopyConfig(config)
	objects.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	objects.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(objects)
	if err != nil {
		return nil, fmt.Errorf("making a client of Kubernetes: %w", err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of Kubernetes: %w", err)
	}
	c := &Cluster{inventory: lookup.New(time.Now)}
	typed := informers.NewSharedInformerFactory(client, 0)
	owners := metadatainformer.NewSharedInformerFactory(metadataClient, 0)
	err = c.follow(typed.Core().V1().Pods().Informer(), trim, c.pods(), failed)
	if err == nil {
		err = c.follow(typed.Core().V1().Nodes().Informer(), trim, c.nodes(), failed)
	}
	for kind, resource := range owning {
		if err == nil {
			err = c.follow(owners.ForResource(resource).Informer(), trim, c.owners(kind), failed)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("preparing informers: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	typed.Start(ctx.Done())
	owners.Start(ctx.Done())
	c.stop = func() {
		cancel()
		typed.Shutdown()
		owners.Shutdown()
	}
	return c, nil
}

// follow makes an informer tell the inventory.
func (c *Cluster) follow(
	informer cache.SharedIndexInformer,
	transform cache.TransformFunc,
	handler cache.ResourceEventHandler,
	failed func(error),
) error {
	if err := informer.SetTransform(transform); err != nil {
		return err
	}
	if err := informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { failed(err) }); err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		return err
	}
	c.synced = append(c.synced, registration.HasSynced)
	return nil
}

// Inventory is nil until every list has been read once. While the API server is away, the inventory stays as it was.
func (c *Cluster) Inventory() *lookup.Inventory {
	for _, synced := range c.synced {
		if !synced() {
			return nil
		}
	}
	return c.inventory
}

// Stop ends the watches.
func (c *Cluster) Stop() { c.stop() }

// trim keeps what look-ups need of an object.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		return &corev1.Pod{ObjectMeta: trimMeta(&o.ObjectMeta), Spec: corev1.PodSpec{NodeName: o.Spec.NodeName}}, nil
	case *corev1.Node:
		node := &corev1.Node{ObjectMeta: trimMeta(&o.ObjectMeta)}
		node.Status.Addresses = o.Status.Addresses
		if zone := o.Labels[corev1.LabelTopologyZone]; zone != "" {
			node.Labels = map[string]string{corev1.LabelTopologyZone: zone}
		}
		return node, nil
	case *metav1.PartialObjectMetadata:
		return &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: trimMeta(&o.ObjectMeta)}, nil
	}
	return object, nil
}

func trimMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	if owner := metav1.GetControllerOfNoCopy(m); owner != nil {
		yes := true
		out.OwnerReferences = []metav1.OwnerReference{{Kind: owner.Kind, Name: owner.Name, Controller: &yes}}
	}
	return out
}
