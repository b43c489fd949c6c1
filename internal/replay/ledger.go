package replay

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// ledger is a Kubernetes in memory that counts what is written to it, and remembers what was deleted.
type ledger struct {
	projector.Memory
	clock   func() time.Time
	entries map[types.NamespacedName]*account
	order   []*account
	// open is the number of incidents that fire now, firing the number of their firing alerts, most its maximum so far,
	// and mostAt the time of that.
	open, firing, most int
	mostAt             time.Time
}

// account is the last state of one incident, by the clock of the replay.
type account struct {
	incident          *v1alpha1.Incident
	created, absorbed time.Time
	deleted           bool
	peak              int
	writes            Writes
}

func newLedger(clock func() time.Time) *ledger {
	return &ledger{clock: clock, entries: map[types.NamespacedName]*account{}}
}

func key(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// Create counts a create.
func (l *ledger) Create(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	out, err := l.Memory.Create(ctx, incident)
	if err == nil {
		a := &account{incident: out, created: l.clock(), writes: Writes{Create: 1}}
		l.entries[key(incident.Namespace, incident.Name)] = a
		l.order = append(l.order, a)
	}
	return out, err
}

// UpdateStatus counts a status write.
func (l *ledger) UpdateStatus(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	out, err := l.Memory.UpdateStatus(ctx, incident)
	if err == nil {
		a := l.entries[key(incident.Namespace, incident.Name)]
		l.shows(a.incident, -1)
		l.shows(out, 1)
		a.incident, a.peak = out, max(a.peak, int(out.Status.Alerts.Firing))
		a.writes.Status++
		if out.Status.State == v1alpha1.StateAbsorbed && a.absorbed.IsZero() {
			a.absorbed = l.clock()
		}
	}
	return out, err
}

// Delete counts a delete.
func (l *ledger) Delete(ctx context.Context, namespace, name string, only metav1.Preconditions) error {
	err := l.Memory.Delete(ctx, namespace, name, only)
	if err == nil {
		a := l.entries[key(namespace, name)]
		l.shows(a.incident, -1)
		a.deleted = true
		a.writes.Delete++
	}
	return err
}

// shows adds an incident's counts to the numbers, or subtracts them. One that is over keeps its last known counts,
// which no longer count.
func (l *ledger) shows(i *v1alpha1.Incident, sign int) {
	// The alerts of an outage are those of its incidents.
	if i.Status.State == v1alpha1.StateFiring && i.Status.Type != v1alpha1.TypeOutage {
		l.open += sign
		l.firing += sign * int(i.Status.Alerts.Firing)
	}
}

// peak records the number of alerts shown as firing. It is called when the clock moves: between writes of the same time
// an alert may be in two incidents.
func (l *ledger) peak() {
	if l.firing > l.most {
		l.most, l.mostAt = l.firing, l.clock()
	}
}
