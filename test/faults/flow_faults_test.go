package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// flowFaults are the API server's own priority and fairness at work: the functions have a level of the smallest size,
// and somebody else holds its seats.
var flowFaults = []fault{
	{
		name: "throttled by priority and fairness: rejected", long: true,
		before: func(b *bed) {
			b.level(flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject})
		},
		during: func(b *bed) {
			release := b.holdSeats(0)
			b.awaitAnswers(taken, 60)
			b.awaitRejected("concurrency-limit", 10)
			release()
		},
	},
	{
		name: "throttled by priority and fairness: a short queue, one seat", long: true, every: 30 * time.Millisecond,
		before: func(b *bed) {
			b.level(
				flowcontrolv1.LimitResponse{
					Type: flowcontrolv1.LimitResponseTypeQueue,
					Queuing: &flowcontrolv1.QueuingConfiguration{
						Queues: 1, HandSize: 1, QueueLengthLimit: 2,
					},
				},
			)
		},
		during: func(b *bed) {
			release := b.holdSeats(1)
			b.noise(40, func() {
				b.awaitAnswers(taken, 60)
				b.awaitRejected("queue-full", 20)
			})
			release()
		},
	},
}

// level puts the ServiceAccounts of the bed's namespace on a level of their own, as small as there is, and awaits that
// the API server knows it.
func (b *bed) level(response flowcontrolv1.LimitResponse) {
	b.t.Helper()
	api := b.cluster.Client.FlowcontrolV1()
	_, err := api.PriorityLevelConfigurations().Create(b.t.Context(), &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: b.namespace},
		Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: new(int32(1)), BorrowingLimitPercent: new(int32(0)), LimitResponse: response,
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(b.t, err)
	_, err = api.FlowSchemas().Create(b.t.Context(), &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: b.namespace},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: b.namespace},
			MatchingPrecedence:         100,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{{
					Kind:           flowcontrolv1.SubjectKindServiceAccount,
					ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: b.namespace, Name: "*"},
				}},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{
						"*",
					}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}, ClusterScope: true,
				}},
			}},
		},
	}, metav1.CreateOptions{})
	require.NoError(b.t, err)
	b.t.Cleanup(func() {
		ctx := context.WithoutCancel(b.t.Context())
		assert.NoError(b.t, api.FlowSchemas().Delete(ctx, b.namespace, metav1.DeleteOptions{}))
		assert.NoError(b.t, api.PriorityLevelConfigurations().Delete(ctx, b.namespace, metav1.DeleteOptions{}))
	})
	// The other one on the level, with the same permissions.
	_, err = b.cluster.Client.RbacV1().RoleBindings(b.namespace).Create(b.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "other"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "stormfold"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "other", Namespace: b.namespace}},
	}, metav1.CreateOptions{})
	require.NoError(b.t, err)
	b.other = b.cluster.ServiceAccountConfig(b.t, b.namespace, "other")
	b.await(20*time.Second, func() error {
		b.ask(b.t.Context(), http.MethodGet, nil)
		if b.flow("apiserver_flowcontrol_dispatched_requests_total", "") == 0 {
			return fmt.Errorf("no request came to the level %s", b.namespace)
		}
		return nil
	})
}

// flow sums one of the API server's own metrics for the bed's level; an empty reason is all of them.
func (b *bed) flow(name, reason string) int {
	sum := 0.0
	for _, m := range b.cluster.Metrics(b.t)[name].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["priority_level"] == b.namespace && (reason == "" || labels["reason"] == reason) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return int(sum)
}

// awaitRejected waits until the API server has rejected that many requests of the level.
func (b *bed) awaitRejected(reason string, n int) {
	b.t.Helper()
	b.await(30*time.Second, func() error {
		if rejected := b.flow("apiserver_flowcontrol_rejected_requests_total", reason); rejected < n {
			return fmt.Errorf("%d of %d requests were rejected: %s", rejected, n, reason)
		}
		return nil
	})
}

// holdSeats takes the level's seats but so many, by requests whose bodies do not come, until it is told to release
// them.
func (b *bed) holdSeats(but int) (release func()) {
	b.t.Helper()
	n := b.flow("apiserver_flowcontrol_nominal_limit_seats", "") - but
	assert.Positive(b.t, n)
	ctx, cancel := context.WithCancel(b.t.Context())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil { // It is rejected too, until it finds a seat.
				body, never := io.Pipe()
				context.AfterFunc(ctx, func() { _ = never.CloseWithError(ctx.Err()) })
				b.ask(ctx, http.MethodPost, body)
			}
		})
	}
	b.await(20*time.Second, func() error {
		if held := b.flow("apiserver_flowcontrol_current_executing_seats", ""); held < n {
			return fmt.Errorf("%d of %d seats are taken", held, n)
		}
		return nil
	})
	return func() { cancel(); all.Wait() }
}

// noise asks for the incidents from so many clients, as long as a function runs.
func (b *bed) noise(clients int, while func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			for ctx.Err() == nil {
				b.ask(ctx, http.MethodGet, nil)
				<-ticker.C
			}
		})
	}
	while()
	cancel()
	all.Wait()
}

// ask sends one request about incidents as the other one on the level, whatever the answer.
func (b *bed) ask(ctx context.Context, method string, body io.Reader) {
	client, err := rest.HTTPClientFor(b.other)
	if !assert.NoError(b.t, err) {
		return
	}
	r, err := http.NewRequestWithContext(
		ctx,
		method,
		b.other.Host+"/apis/stormfold.io/v1alpha1/namespaces/"+b.namespace+"/incidents",
		body,
	)
	if !assert.NoError(b.t, err) {
		return
	}
	r.Header.Set("Content-Type", "application/json")
	if response, err := client.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, response.Body) // What it says does not matter.
		_ = response.Body.Close()
	}
}
