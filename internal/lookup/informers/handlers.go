package informers

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/stormfold/stormfold/internal/lookup"
	"github.com/stormfold/stormfold/internal/subject"
)

func (c *Cluster) pods() cache.ResourceEventHandler {
	return handler(
		func(p *corev1.Pod) {
			c.inventory.SetPod(p.Namespace, p.Name, lookup.PodInfo{Node: p.Spec.NodeName, Owner: controller(p)})
		},
		func(p *corev1.Pod) { c.inventory.RemovePod(p.Namespace, p.Name) },
	)
}

func (c *Cluster) nodes() cache.ResourceEventHandler {
	return handler(
		func(n *corev1.Node) {
			info := lookup.NodeInfo{Zone: n.Labels[corev1.LabelTopologyZone]}
			for _, a := range n.Status.Addresses {
				if a.Type != corev1.NodeHostName || a.Address != n.Name {
					info.Addresses = append(info.Addresses, a.Address)
				}
			}
			c.inventory.SetNode(n.Name, info)
		},
		func(n *corev1.Node) { c.inventory.RemoveNode(n.Name) },
	)
}

func (c *Cluster) owners(kind string) cache.ResourceEventHandler {
	of := func(o *metav1.PartialObjectMetadata) subject.Resource {
		return subject.Resource{Kind: kind, Namespace: o.Namespace, Name: o.Name}
	}
	return handler(
		func(o *metav1.PartialObjectMetadata) {
			if owner := controller(o); owner.Kind != "" {
				c.inventory.SetOwner(of(o), owner)
			}
		},
		func(o *metav1.PartialObjectMetadata) { c.inventory.RemoveOwner(of(o)) },
	)
}

// controller is the owner that controls an object.
func controller(o metav1.Object) subject.Resource {
	owner := metav1.GetControllerOfNoCopy(o)
	if owner == nil {
		return subject.Resource{}
	}
	return subject.Resource{Kind: owner.Kind, Namespace: o.GetNamespace(), Name: owner.Name}
}

// handler calls set for an object that is new or has changed, and remove for one that was deleted.
func handler[T any](set, remove func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if object, ok := o.(T); ok {
				set(object)
			}
		},
		UpdateFunc: func(_, o any) {
			if object, ok := o.(T); ok {
				set(object)
			}
		},
		DeleteFunc: func(o any) {
			if missed, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = missed.Obj // The deletion was not watched; this is the last state that was.
			}
			if object, ok := o.(T); ok {
				remove(object)
			}
		},
	}
}
