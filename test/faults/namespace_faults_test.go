package faults

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// namespaceFaults take the namespace of the incidents away, with all that is in it.
var namespaceFaults = []fault{
	{
		// With the namespace go objects that Redis knows as written. They come back with their group's next change.
		name: "namespace deleted and made again, then a change of every alert", apart: true, long: true,
		every: 40 * time.Millisecond,
		during: func(b *bed) {
			b.awaitIncidents()
			b.terminateNamespace()
			b.awaitLog("being terminated")
			b.awaitAnswers(taken, 10)
			b.removeNamespace()
			b.awaitLog("cannot create resource")
			b.awaitAnswers(taken, 10)
			b.makeNamespace()
			b.everyAlert()
		},
	},
}

// awaitIncidents waits until something stands that can be lost.
func (b *bed) awaitIncidents() {
	b.t.Helper()
	b.await(20*time.Second, func() error {
		items, err := b.list(b.t.Context())
		if err == nil && len(items) < 5 {
			err = fmt.Errorf("%d incidents stand", len(items))
		}
		return err
	})
}

// terminateNamespace deletes the namespace: from then on nothing can be made in it. What else happens then is the
// business of a controller, and none runs here: the test does it.
func (b *bed) terminateNamespace() {
	b.t.Helper()
	assert.NoError(b.t, b.cluster.Client.CoreV1().Namespaces().Delete(b.t.Context(), b.namespace, metav1.DeleteOptions{}))
}

// removeNamespace removes what is in the namespace and then the namespace itself.
func (b *bed) removeNamespace() {
	b.t.Helper()
	ctx := b.t.Context()
	client, err := dynamic.NewForConfig(b.cluster.Config)
	if !assert.NoError(b.t, err) {
		return
	}
	for _, resource := range []schema.GroupVersionResource{
		v1alpha1.SchemeGroupVersion.WithResource("incidents"),
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		{Version: "v1", Resource: "configmaps"},
	} {
		assert.NoError(b.t, client.Resource(resource).Namespace(b.namespace).
			DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	}
	namespaces := b.cluster.Client.CoreV1().Namespaces()
	namespace, err := namespaces.Get(ctx, b.namespace, metav1.GetOptions{})
	if !assert.NoError(b.t, err) {
		return
	}
	namespace.Spec.Finalizers = nil
	_, err = namespaces.Finalize(ctx, namespace, metav1.UpdateOptions{})
	assert.NoError(b.t, err)
	b.await(20*time.Second, func() error {
		_, err := namespaces.Get(ctx, b.namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("namespace %s is still there: %w", b.namespace, err)
	})
}

// makeNamespace makes it again, with its permissions.
func (b *bed) makeNamespace() {
	b.t.Helper()
	_, err := b.cluster.Client.CoreV1().Namespaces().Create(b.t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: b.namespace},
	}, metav1.CreateOptions{})
	assert.NoError(b.t, err)
	b.authorize()
}

// everyAlert says of every alert that it is over, if it fires, and then that it fires.
func (b *bed) everyAlert() {
	for _, firing := range []bool{false, true} {
		for chunk := range slices.Chunk(b.journal.Latest(), 10) {
			var event []planned
			for _, w := range chunk {
				if w.Firing != firing {
					w.Firing = firing
					event = append(event, b.sender.again(w))
				}
			}
			if len(event) > 0 {
				header, body, answered := b.sender.prepare(event)
				b.sender.deliver(b.t.Context(), header, body, answered)
			}
		}
	}
}
