package projector

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// notOverFields selects incidents that are going on, and those whose status is still on its way.
const notOverFields = "status.state!=" + string(v1alpha1.StateResolved) + ",status.state!=" + string(v1alpha1.StateAbsorbed)

// Passed is an alert that stands in an incident, although it could not be folded.
type Passed struct {
	// Name of the incident that was made up for the alert; it exists when Written.
	Name string
	// Written is false when the alert stood in an open incident already.
	Written bool
}

// PassThrough writes incidents for alerts of one group past Redis: after one list, for those alerts that stand in no open
// incident, and for none while an open storm of the group stands there, for it counts them when Redis is back. Each
// snapshot is one of aggregator.Lone. It returns the alerts that stand now; the error joins what went wrong with the others.
func (p *Projector) PassThrough(ctx context.Context, namespace string, lone []*aggregator.Snapshot) ([]Passed, error) {
	standing, err := p.standingAlerts(ctx, namespace, lone[0].Group)
	if err != nil {
		return nil, err
	}
	var passed []Passed
	var errs []error
	for _, s := range lone {
		o := s.Objects[0]
		if standing.has(o) {
			passed = append(passed, Passed{Name: o.Name})
			continue
		}
		written, err := p.passOne(ctx, s, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("incident %s/%s: %w", o.Namespace, o.Name, err))
			continue
		}
		passed = append(passed, Passed{Name: o.Name, Written: written})
	}
	return passed, errors.Join(errs...)
}

// passOne creates one incident with its status. Whoever has done that before, another pod or an earlier delivery, did the
// same; what has a status already is left alone, for it may have been taken over since.
func (p *Projector) passOne(ctx context.Context, s *aggregator.Snapshot, o aggregator.Object) (written bool, err error) {
	want := Render(s, o)
	want.Labels[v1alpha1.LabelOrigin] = v1alpha1.OriginPassthrough
	have, err := p.create(ctx, want)
	if want.Namespace != p.fallback && namespaceGone(err) {
		want.Namespace = p.fallback
		have, err = p.create(ctx, want)
	}
	if apierrors.IsAlreadyExists(err) {
		have, err = p.get(ctx, want)
		if err == nil && have.Status.State != "" {
			return false, nil
		}
	}
	if err != nil {
		return false, err
	}
	want.ResourceVersion = have.ResourceVersion
	if _, err = p.updateStatus(ctx, want); apierrors.IsConflict(err) {
		return false, nil // Another pod was faster.
	}
	return err == nil, err
}

// standing are the alerts of a group that stand in open incidents.
type standingAlerts struct {
	storm bool
	// alerts are fingerprints; begun are those of incidents without a status, by the incident's name.
	alerts map[string]bool
	begun  map[string]string
}

// has tells whether the alert of a lone object stands somewhere. Its own incident without a status is to be finished.
func (a *standingAlerts) has(o aggregator.Object) bool {
	name, begun := a.begun[o.Fingerprint]
	return a.storm || a.alerts[o.Fingerprint] || begun && name != o.Name
}

func (p *Projector) standingAlerts(ctx context.Context, namespace, group string) (*standingAlerts, error) {
	a := &standingAlerts{alerts: map[string]bool{}, begun: map[string]string{}}
	err := p.notOver(ctx, namespace, v1alpha1.LabelGroup+"="+group, func(i *v1alpha1.Incident) error {
		st := i.Status
		if st.State == "" {
			a.begun[i.Labels[v1alpha1.LabelFingerprint]] = i.Name
			return nil
		}
		a.storm = a.storm || st.Type == v1alpha1.TypeStorm
		members, err := MembersOf(i)
		if err != nil {
			p.skipped(i.Namespace+"/"+i.Name, err)
		}
		for _, m := range members {
			a.alerts[m.Fingerprint] = true
		}
		return nil
	})
	return a, err
}

// ImportPassedThrough gives every open incident that was written by PassThrough to take, those of one group or (empty) of all.
// Redis knows most of them already.
func (p *Projector) ImportPassedThrough(ctx context.Context, namespace, group string, take func(aggregator.Imported) error) error {
	selector := v1alpha1.LabelOrigin + "=" + v1alpha1.OriginPassthrough
	if group != "" {
		selector += "," + v1alpha1.LabelGroup + "=" + group
	}
	return p.notOver(ctx, namespace, selector, func(i *v1alpha1.Incident) error {
		imported, err := read(i)
		if err != nil {
			p.skipped(i.Namespace+"/"+i.Name, err)
			return nil
		}
		return take(imported)
	})
}

// notOver lists the incidents with these labels that are going on.
func (p *Projector) notOver(ctx context.Context, namespace, selector string, each func(*v1alpha1.Incident) error) error {
	options := metav1.ListOptions{LabelSelector: selector, FieldSelector: notOverFields, Limit: importPage}
	for {
		list, err := call(ctx, p, "list", func(ctx context.Context) (*v1alpha1.IncidentList, error) {
			return p.incidents.List(ctx, namespace, options)
		})
		if err != nil {
			return fmt.Errorf("listing the open incidents with %s: %w", selector, err)
		}
		for i := range list.Items {
			// An API of incidents that knows no field selectors gives all of them.
			if state := list.Items[i].Status.State; state == v1alpha1.StateResolved || state == v1alpha1.StateAbsorbed {
				continue
			}
			if err := each(&list.Items[i]); err != nil {
				return err
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}
