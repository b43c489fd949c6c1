package projector

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// delete removes an incident whose retention is over, and nothing else that has its name. It reads the object and
// deletes just that: when someone writes it in between, it is read and judged again. What is left alone is confirmed as
// gone too, since Redis has no business with it any more; when it goes on, the next comparison gives it back to its
// group.
func (p *Projector) delete(
	ctx context.Context,
	s *aggregator.Snapshot,
	o aggregator.Object,
) (aggregator.Confirmed, error) {
	gone := aggregator.Confirmed{Name: o.Name, Namespace: o.Namespace}
	var err error
	for range attempts {
		var have *v1alpha1.Incident
		have, err = call(ctx, p, "get", func(ctx context.Context) (*v1alpha1.Incident, error) {
			return p.incidents.Get(ctx, o.Namespace, o.Name)
		})
		switch {
		case apierrors.IsNotFound(err):
			return gone, nil
		case err != nil:
			return gone, err
		case have.Labels[v1alpha1.LabelGroup] != s.Group:
			return gone, nil // It is not ours.
		case have.Status.State == v1alpha1.StateFiring || have.Status.ObservedRevision > o.Revision:
			gone.Missing = true // Redis knows an older state than Kubernetes.
			return gone, nil
		}
		_, err = call(ctx, p, "delete", func(ctx context.Context) (struct{}, error) {
			only := metav1.Preconditions{UID: &have.UID, ResourceVersion: &have.ResourceVersion}
			return struct{}{}, p.incidents.Delete(ctx, o.Namespace, o.Name, only)
		})
		switch {
		case err == nil, apierrors.IsNotFound(err):
			return gone, nil
		case !apierrors.IsConflict(err):
			return gone, err
		}
	}
	return gone, fmt.Errorf("still contended after %d attempts: %w", attempts, err)
}
