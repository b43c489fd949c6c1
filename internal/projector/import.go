package projector

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// groupID is what the id of a group, and the fingerprint of an alert, looks like. That of an outage ends with o.
var groupID, fingerprint = regexp.MustCompile("^[0-9a-f]{16}o?$"), regexp.MustCompile("^[0-9a-f]{16}$")

// importPage is the number of incidents of one list request. The largest object has 256 KiB.
const importPage = 100

// ImportShard reads the incidents of a shard from Kubernetes and gives each to take, or, if it cannot be read, its name
// and resource version to broken. An empty namespace means all.
func (p *Projector) ImportShard(
	ctx context.Context,
	namespace string,
	shard int,
	take func(aggregator.Imported) error,
	broken func(name, resourceVersion string),
) error {
	return p.imports(ctx, namespace, v1alpha1.LabelShard+"="+aggregator.ShardName(shard), take, broken)
}

// ImportGroup does the same for the incidents of one group.
func (p *Projector) ImportGroup(
	ctx context.Context,
	namespace, group string,
	take func(aggregator.Imported) error,
) error {
	return p.imports(ctx, namespace, v1alpha1.LabelGroup+"="+group, take, func(string, string) {})
}

func (p *Projector) imports(
	ctx context.Context,
	namespace, selector string,
	take func(aggregator.Imported) error,
	broken func(name, resourceVersion string),
) error {
	options := metav1.ListOptions{LabelSelector: selector, Limit: importPage}
	for {
		list, err := call(ctx, p, "list", func(ctx context.Context) (*v1alpha1.IncidentList, error) {
			return p.incidents.List(ctx, namespace, options)
		})
		if err != nil {
			return fmt.Errorf("listing the incidents with %s: %w", selector, err)
		}
		for i := range list.Items {
			imported, err := read(&list.Items[i])
			if err != nil {
				// One object that someone broke must not keep the others from being written.
				p.skipped(list.Items[i].Namespace+"/"+list.Items[i].Name, err)
				broken(list.Items[i].Name, list.Items[i].ResourceVersion)
				continue
			}
			if err := take(imported); err != nil {
				return err
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}

// read returns what Redis needs of an incident, from its object: the reverse of Render, as far as possible.
func read(i *v1alpha1.Incident) (aggregator.Imported, error) {
	st := &i.Status
	group := i.Labels[v1alpha1.LabelGroup]
	if !groupID.MatchString(group) || aggregator.ShardName(aggregator.ShardOf(group)) != i.Labels[v1alpha1.LabelShard] {
		return aggregator.Imported{}, fmt.Errorf("label %s: %q is not the id of a group of shard %q",
			v1alpha1.LabelGroup, group, i.Labels[v1alpha1.LabelShard])
	}
	members, err := MembersOf(i)
	if err != nil {
		return aggregator.Imported{}, err
	}
	o := aggregator.Object{
		Name: i.Name, Namespace: i.Namespace, ResourceVersion: i.ResourceVersion, Revision: st.ObservedRevision,
		Storm: st.Type == v1alpha1.TypeStorm, State: aggregator.StateFiring, OpenedAt: i.CreationTimestamp.Time,
		Reopened: int(st.Reopened), AbsorbedBy: st.AbsorbedBy, CommonLabels: st.CommonLabels, Members: members,
		Firing: int(st.Alerts.Firing), Total: len(members), Beyond: max(0, int(st.Alerts.Total)-len(members)),
		// Truncated is set for cut lists too; where no list was cut, it is the counts.
		Truncated: int(st.Alerts.Total) > len(members) || st.Truncated && int(st.ResourceCount) == len(st.Resources),
		Facts:     aggregator.Facts{Labels: maps.Clone(st.CommonLabels)},
		PartOf:    st.PartOf, Labels: st.Labels,
	}
	if aggregator.IsOutage(group) {
		parts, err := PartsOf(i)
		if err != nil {
			return aggregator.Imported{}, err
		}
		o.Outage = &aggregator.Outage{Policy: i.Spec.Policy, Members: parts}
		o.Outage.Evidence = aggregator.Evidence(st.Evidence)
		o.Total, o.Beyond, o.Truncated = len(parts), 0, st.Truncated
		o.Firing = len(slices.DeleteFunc(slices.Clone(parts), func(p aggregator.Part) bool { return !p.Firing }))
		if st.ProbableCause != nil {
			o.Outage.Cause = st.ProbableCause.Incident
		}
	}
	if st.StartedAt != nil {
		o.Facts.StartsAt = st.StartedAt.Unix()
	}
	if f := i.Labels[v1alpha1.LabelFingerprint]; fingerprint.MatchString(f) {
		o.Fingerprint = f
		if st.State == "" {
			// Created, but the status is not written yet: the alert that opened it is known.
			o.Members = []aggregator.Member{{Fingerprint: f, Firing: true}}
		}
	}
	if len(st.Resources) == 1 && !o.Storm {
		r := subject.Resource{Kind: st.Resources[0].Kind, Namespace: st.Resources[0].Namespace, Name: st.Resources[0].Name}
		if subject.Rules(nil).Read(st.CommonLabels).Subject != r { // A rule of the policies file said so.
			o.Facts.Resource, o.Facts.Workload = r, r.Workload()
		}
	}
	if e := st.Exemplar; e != nil {
		o.Facts.GeneratorURL = e.GeneratorURL
		o.Facts.Annotations = map[string]string{"summary": e.Summary, "description": e.Description, "runbook_url": e.Runbook}
	}
	if o.Facts.Labels == nil {
		o.Facts.Labels = map[string]string{}
	}
	if i.Spec.AlertName != "" {
		o.Facts.Labels["alertname"] = i.Spec.AlertName
	}
	if st.StormAt != nil {
		o.StormAt = st.StormAt.Time
	}
	if st.LastChangeAt != nil {
		o.ChangedAt = st.LastChangeAt.Time
	}
	switch st.State {
	case v1alpha1.StateResolved:
		o.State = aggregator.StateResolved
	case v1alpha1.StateAbsorbed:
		o.State = aggregator.StateAbsorbed
	}
	for _, c := range st.Conditions {
		if c.Type == v1alpha1.ConditionResolved && c.Status == metav1.ConditionTrue {
			o.EndedAt, o.Reason = c.LastTransitionTime.Time, c.Reason
		}
	}
	return aggregator.Imported{
		Group: group, Policy: i.Spec.Policy, Labels: i.Spec.GroupLabels, Object: o,
	}, nil
}
