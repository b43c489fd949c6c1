package projector

import (
	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// subjectOf is the smallest object that all members are about, nil for none. Members of which only the fingerprint is
// known are about what others says.
func subjectOf(s *aggregator.Snapshot, members []aggregator.Member, others subject.About) *v1alpha1.Subject {
	shared, ok := subject.Shared(func(yield func(subject.About) bool) {
		for _, m := range members {
			about := others
			if m.Resource.Kind != "" {
				about = subject.About{
					Resource: m.Resource, Workload: m.Workload(), Node: nodeOf(s, m), Namespace: m.Resource.InNamespace(),
				}
			}
			if !yield(about) {
				return
			}
		}
	})
	if !ok {
		return nil
	}
	return (*v1alpha1.Subject)(&shared)
}

// nodeOf is the node that a member is, or runs on as far as the labels of its group and of the policy's breakdown tell.
func nodeOf(s *aggregator.Snapshot, m aggregator.Member) string {
	if m.Resource.Kind == "Node" {
		return m.Resource.Name
	}
	for _, l := range m.Breakdown {
		if l.Name == subject.LabelNode {
			return l.Value
		}
	}
	return s.Labels[subject.LabelNode]
}

// ofGroup is what the group's labels say about all its alerts.
func ofGroup(s *aggregator.Snapshot) subject.About {
	return subject.About{
		Workload: s.Labels[subject.LabelWorkload], Node: s.Labels[subject.LabelNode],
		Namespace: s.Labels[subject.LabelNamespace],
	}
}
