package projector

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/google/uuid"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// Memory keeps incidents in the process, for trials without a cluster. It behaves like an API server as far as the
// projector depends on it: names, resource versions, status as a subresource. Changed, when set, is called for every
// change, in order.
type Memory struct {
	Changed func(incident v1alpha1.Incident, deleted bool)

	mu      sync.Mutex
	version int
	objects map[types.NamespacedName]*v1alpha1.Incident
}

var groupResource = schema.GroupResource{Group: v1alpha1.SchemeGroupVersion.Group, Resource: resource}

// Create stores a new incident without its status.
func (m *Memory) Create(_ context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := types.NamespacedName{Namespace: incident.Namespace, Name: incident.Name}
	if _, there := m.objects[key]; there {
		return nil, apierrors.NewAlreadyExists(groupResource, incident.Name)
	}
	if m.objects == nil {
		m.objects = map[types.NamespacedName]*v1alpha1.Incident{}
	}
	stored := incident.DeepCopy()
	stored.Status = v1alpha1.IncidentStatus{}
	stored.UID = types.UID(uuid.NewString())
	stored.CreationTimestamp = metav1.Now()
	return m.store(key, stored), nil
}

// Get returns a copy.
func (m *Memory) Get(_ context.Context, namespace, name string) (*v1alpha1.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, there := m.objects[types.NamespacedName{Namespace: namespace, Name: name}]
	if !there {
		return nil, apierrors.NewNotFound(groupResource, name)
	}
	return stored.DeepCopy(), nil
}

// UpdateStatus stores the status and nothing else. The same status again is no change.
func (m *Memory) UpdateStatus(_ context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := types.NamespacedName{Namespace: incident.Namespace, Name: incident.Name}
	stored, there := m.objects[key]
	if !there {
		return nil, apierrors.NewNotFound(groupResource, incident.Name)
	}
	if incident.ResourceVersion != stored.ResourceVersion {
		return nil, apierrors.NewConflict(groupResource, incident.Name, nil)
	}
	if equality.Semantic.DeepEqual(stored.Status, incident.Status) {
		return stored.DeepCopy(), nil
	}
	changed := stored.DeepCopy()
	incident.Status.DeepCopyInto(&changed.Status)
	return m.store(key, changed), nil
}

// Delete forgets the incident if the preconditions hold.
func (m *Memory) Delete(_ context.Context, namespace, name string, only metav1.Preconditions) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: name}
	stored, there := m.objects[key]
	if !there {
		return apierrors.NewNotFound(groupResource, name)
	}
	if only.UID != nil && *only.UID != stored.UID ||
		only.ResourceVersion != nil && *only.ResourceVersion != stored.ResourceVersion {
		return apierrors.NewConflict(groupResource, name, nil)
	}
	delete(m.objects, key)
	if m.Changed != nil {
		m.Changed(*stored, true)
	}
	return nil
}

// List returns all that match the selectors, in the order of their names and in one page.
func (m *Memory) List(_ context.Context, namespace string, options metav1.ListOptions) (*v1alpha1.IncidentList, error) {
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	byField, err := fields.ParseSelector(options.FieldSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &v1alpha1.IncidentList{}
	out.ResourceVersion = strconv.Itoa(m.version)
	for key, stored := range m.objects {
		if (namespace == "" || key.Namespace == namespace) && selector.Matches(labels.Set(stored.Labels)) &&
			byField.Matches(selectable(stored)) {
			out.Items = append(out.Items, *stored.DeepCopy())
		}
	}
	slices.SortFunc(out.Items, func(a, b v1alpha1.Incident) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// selectable are the fields of an incident that can be selected by, as in the CRD.
func selectable(i *v1alpha1.Incident) fields.Set {
	var s v1alpha1.Subject
	if i.Status.Subject != nil {
		s = *i.Status.Subject
	}
	return fields.Set{
		"metadata.name": i.Name, "metadata.namespace": i.Namespace, "status.state": string(i.Status.State),
		"status.type": string(i.Status.Type), "status.severity": i.Status.Severity,
		"status.partOf":       i.Status.PartOf,
		"status.subject.kind": s.Kind, "status.subject.namespace": s.Namespace, "status.subject.name": s.Name,
	}
}

// Allowed is always true.
func (m *Memory) Allowed(context.Context, string, string, string) (bool, error) { return true, nil }

// store puts the incident in place under a new resource version and returns a copy. The caller holds the lock.
func (m *Memory) store(key types.NamespacedName, incident *v1alpha1.Incident) *v1alpha1.Incident {
	m.version++
	incident.ResourceVersion = strconv.Itoa(m.version)
	m.objects[key] = incident
	if m.Changed != nil {
		m.Changed(*incident.DeepCopy(), false)
	}
	return incident.DeepCopy()
}
