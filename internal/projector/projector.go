// Package projector writes the snapshot of a group to Kubernetes.
//
//	Render    snapshot to Incident (pure)
//	Project   create, status, delete; conflicts; the state that was written
//	Import    reads the incidents from Kubernetes, for a Redis that has lost them
//
// It does not know Redis: it returns what was written to the caller, who settles it.
package projector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// attempts is the maximum number of attempts to write an object after conflicts.
const attempts = 3

// Options configure a Projector.
type Options struct {
	Incidents Incidents
	// Timeout is the timeout of each call.
	Timeout time.Duration
	// Fallback is the namespace of incidents whose own namespace does not exist.
	Fallback string
	// Observe, when set, is called for every call: its verb (create, get, update, delete), how long it took, and its
	// error.
	Observe func(verb string, took time.Duration, err error)
	// Skipped, when set, is called for every incident that an import cannot read, with the reason.
	Skipped func(incident string, err error)
}

// Projector writes incidents. It is safe for concurrent use.
type Projector struct {
	incidents Incidents
	timeout   time.Duration
	fallback  string
	observe   func(string, time.Duration, error)
	skipped   func(string, error)
}

// New makes a Projector.
func New(o Options) *Projector {
	if o.Observe == nil {
		o.Observe = func(string, time.Duration, error) {}
	}
	if o.Skipped == nil {
		o.Skipped = func(string, error) {}
	}
	return &Projector{
		incidents: o.Incidents, timeout: o.Timeout, fallback: o.Fallback, observe: o.Observe, skipped: o.Skipped,
	}
}

// ErrNotAllowed is wrapped by the errors of Check if the CRD or a permission is missing: a retry does not help.
var ErrNotAllowed = errors.New("incidents cannot be written")

// Check checks that incidents can be written in a namespace, or in all (empty): that the CRD exists and the
// ServiceAccount has the permissions. The error names what is missing.
func (p *Projector) Check(ctx context.Context, namespace string) error {
	where := "namespace " + namespace
	if namespace == "" {
		where = "all namespaces"
	}
	_, err := call(ctx, p, "list", func(ctx context.Context) (*v1alpha1.IncidentList, error) {
		return p.incidents.List(ctx, namespace, metav1.ListOptions{Limit: 1})
	})
	switch {
	case err == nil:
		return p.checkAccess(ctx, namespace, where)
	case apierrors.IsNotFound(err):
		return fmt.Errorf(
			"the API server does not serve incidents.stormfold.io: apply deploy/crd: %w: %w",
			ErrNotAllowed,
			err,
		)
	case apierrors.IsForbidden(err):
		return fmt.Errorf(
			"the ServiceAccount may not list incidents in %s: apply deploy/rbac: %w: %w",
			where,
			ErrNotAllowed,
			err,
		)
	default:
		return fmt.Errorf("listing incidents in %s: %w", where, err)
	}
}

// needed is what the projector does to incidents, as verb and subresource.
var needed = [][2]string{{"create", ""}, {"get", ""}, {"list", ""}, {"delete", ""}, {"update", "status"}}

// checkAccess asks the API server whether all of it is allowed.
func (p *Projector) checkAccess(ctx context.Context, namespace, where string) error {
	for _, n := range needed {
		allowed, err := call(ctx, p, "review", func(ctx context.Context) (bool, error) {
			return p.incidents.Allowed(ctx, namespace, n[0], n[1])
		})
		if err != nil {
			return fmt.Errorf("asking what the ServiceAccount may do: %w", err)
		}
		if !allowed {
			return fmt.Errorf("the ServiceAccount may not %s %s in %s: apply deploy/rbac: %w",
				n[0], strings.TrimSuffix("incidents/"+n[1], "/"), where, ErrNotAllowed)
		}
	}
	return nil
}

// Project writes the objects of a snapshot, one after the other, and returns those that are as they should be. The
// error joins the errors of the others, which stay due.
func (p *Projector) Project(ctx context.Context, s *aggregator.Snapshot) ([]aggregator.Confirmed, error) {
	var confirmed []aggregator.Confirmed
	var errs []error
	for _, o := range s.Objects {
		c, err := p.one(ctx, s, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("incident %s/%s: %w", o.Namespace, o.Name, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		confirmed = append(confirmed, c)
	}
	return confirmed, errors.Join(errs...)
}

// one makes one object as it should be.
func (p *Projector) one(
	ctx context.Context,
	s *aggregator.Snapshot,
	o aggregator.Object,
) (aggregator.Confirmed, error) {
	gone := aggregator.Confirmed{Name: o.Name, Namespace: o.Namespace}
	if o.Delete {
		return p.delete(ctx, s, o)
	}
	want := Render(s, o)
	var have *v1alpha1.Incident
	var err error
	missing := false
	if o.ResourceVersion != "" && (unknown(o.Members) > 0 || o.Storm && len(o.Members) < o.Total) {
		have, err = p.get(ctx, want)
		switch {
		case err == nil:
			carry(want, have, s, o)
		case !apierrors.IsNotFound(err):
			return gone, err
		}
	}
	for range attempts {
		if want.ResourceVersion == "" {
			have, err = p.create(ctx, want)
			if want.Namespace != p.fallback && namespaceGone(err) {
				want.Namespace = p.fallback
				have, err = p.create(ctx, want)
			}
			if apierrors.IsAlreadyExists(err) {
				// Only this group's fold makes this name: it is our own create, whose answer was lost.
				have, err = p.get(ctx, want)
			}
			if err == nil && have.Status.ObservedRevision > o.Revision {
				return standing(have, missing), nil
			}
			if err != nil {
				return gone, err
			}
			want.ResourceVersion = have.ResourceVersion
		}
		have, err = p.updateStatus(ctx, want)
		switch {
		case err == nil:
			return standing(have, missing), nil
		case apierrors.IsConflict(err):
			if have, err = p.get(ctx, want); err == nil {
				// One of ours is written once more: it may be an edit that kept our revision.
				if have.Status.ObservedRevision > o.Revision {
					return standing(have, missing), nil
				}
				want.ResourceVersion = have.ResourceVersion
				continue
			}
		}
		if !apierrors.IsNotFound(err) {
			return gone, err
		}
		// Deleted by hand, or with its namespace, and put back: but one that only points at another, or has no alerts, shows
		// nothing that does not stand elsewhere.
		if o.State == aggregator.StateAbsorbed || o.Total == 0 {
			return gone, nil
		}
		want.ResourceVersion, want.UID, missing = "", "", true
	}
	return gone, fmt.Errorf("still contended after %d attempts: %w", attempts, err)
}

// namespaceGone reports whether an object cannot be created because its namespace does not exist or is terminating.
func namespaceGone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// standing is the state of an object in Kubernetes, and whether it had to be created again.
func standing(i *v1alpha1.Incident, missing bool) aggregator.Confirmed {
	return aggregator.Confirmed{
		Name: i.Name, Namespace: i.Namespace, Revision: i.Status.ObservedRevision, ResourceVersion: i.ResourceVersion,
		Missing: missing,
	}
}

func (p *Projector) create(ctx context.Context, i *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	return call(
		ctx,
		p,
		"create",
		func(ctx context.Context) (*v1alpha1.Incident, error) { return p.incidents.Create(ctx, i) },
	)
}

func (p *Projector) get(ctx context.Context, i *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	return call(ctx, p, "get", func(ctx context.Context) (*v1alpha1.Incident, error) {
		return p.incidents.Get(ctx, i.Namespace, i.Name)
	})
}

func (p *Projector) updateStatus(ctx context.Context, i *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	return call(ctx, p, "update", func(ctx context.Context) (*v1alpha1.Incident, error) {
		return p.incidents.UpdateStatus(ctx, i)
	})
}

// call runs one API call within the time-out and reports it.
func call[T any](ctx context.Context, p *Projector, verb string, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	start := time.Now()
	out, err := do(ctx)
	p.observe(verb, time.Since(start), err)
	return out, err
}
