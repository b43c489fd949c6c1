package faults

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// kubeFaults concern one namespace and need no control plane of their own.
var kubeFaults = []fault{
	{
		name: "RBAC removed",
		during: func(b *bed) {
			assert.NoError(
				b.t,
				b.cluster.Client.RbacV1().RoleBindings(b.namespace).Delete(b.t.Context(), bindingName, metav1.DeleteOptions{}),
			)
			b.awaitLog("is forbidden")
			b.awaitAnswers(taken, 20)
			b.bind()
		},
	},
	{
		name: "quota of incidents used up",
		before: func(b *bed) {
			b.quota(6)
		},
		during: func(b *bed) {
			b.awaitLog("exceeded quota")
			b.awaitAnswers(taken, 20)
			b.quota(1000)
		},
	},
}

// apiServerFaults run on a control plane of their own, one after the other.
var apiServerFaults = []fault{
	{
		name: "API server killed",
		during: func(b *bed) {
			assert.NoError(b.t, b.cluster.APIServer.Kill())
			b.awaitAnswers(taken, 60)
			assert.NoError(b.t, b.cluster.StartAPIServer())
		},
	},
	{
		name: "API server hangs for 7 s", every: 40 * time.Millisecond,
		during: func(b *bed) {
			assert.NoError(b.t, b.cluster.APIServer.Pause())
			<-time.After(7 * time.Second) // Longer than the time-out of a call.
			assert.NoError(b.t, b.cluster.APIServer.Resume())
		},
	},
	{
		name: "etcd stopped", every: 25 * time.Millisecond,
		during: func(b *bed) {
			assert.NoError(b.t, b.cluster.Etcd.Kill())
			b.awaitAnswers(taken, 60)
			assert.NoError(b.t, b.cluster.StartEtcd())
		},
	},
	{
		name: "API server killed, functions and Redis too", redis: always, long: true, every: 40 * time.Millisecond,
		during: func(b *bed) {
			assert.NoError(b.t, b.cluster.APIServer.Kill())
			b.kill(4)
			assert.NoError(b.t, b.redis.Kill())
			assert.NoError(b.t, b.cluster.StartAPIServer())
			assert.NoError(b.t, b.redis.Start())
			b.kill(2)
		},
	},
}

// awaitLog waits until any function wrote something.
func (b *bed) awaitLog(text string) {
	b.t.Helper()
	b.await(20*time.Second, func() error {
		for _, p := range b.pods {
			log, err := p.Log()
			if err != nil {
				return err
			}
			if strings.Contains(log, text) {
				return nil
			}
		}
		return fmt.Errorf("no function's log says %q", text)
	})
}

// quota allows n incidents in the bed's namespace. Admission reads the limit from its status, which a controller would
// write, and none runs here.
func (b *bed) quota(n int64) {
	b.t.Helper()
	const name = corev1.ResourceName("count/incidents.stormfold.io")
	quotas := b.cluster.Client.CoreV1().ResourceQuotas(b.namespace)
	hard := corev1.ResourceList{name: *resource.NewQuantity(n, resource.DecimalSI)}
	assert.NoError(b.t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		q, err := quotas.Get(b.t.Context(), "incidents", metav1.GetOptions{})
		if err != nil {
			q, err = quotas.Create(b.t.Context(), &corev1.ResourceQuota{
				ObjectMeta: metav1.ObjectMeta{Name: "incidents"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
			}, metav1.CreateOptions{})
		} else {
			q.Spec.Hard = hard
			q, err = quotas.Update(b.t.Context(), q, metav1.UpdateOptions{})
		}
		if err != nil {
			return err
		}
		q.Status.Hard = hard
		if q.Status.Used == nil {
			q.Status.Used = corev1.ResourceList{name: resource.MustParse("0")}
		}
		_, err = quotas.UpdateStatus(b.t.Context(), q, metav1.UpdateOptions{})
		return err
	}))
}
