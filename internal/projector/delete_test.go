package projector

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// A delete takes the object that was decided about, and no other that has its name.
func TestADeleteTakesNothingElse(t *testing.T) {
	over := func(o *aggregator.Object) {
		o.State, o.Reason, o.EndedAt = aggregator.StateResolved, "AllResolved", start
	}
	// status changes the object in Kubernetes.
	status := func(change func(*v1alpha1.IncidentStatus)) func(*testing.T, Incidents, *v1alpha1.Incident) {
		return func(t *testing.T, incidents Incidents, i *v1alpha1.Incident) {
			change(&i.Status)
			_, err := incidents.UpdateStatus(t.Context(), i)
			require.NoError(t, err)
		}
	}
	// again deletes it and makes another of its name.
	again := func(group string) func(*testing.T, Incidents, *v1alpha1.Incident) {
		return func(t *testing.T, incidents Incidents, i *v1alpha1.Incident) {
			require.NoError(t, incidents.Delete(t.Context(), i.Namespace, i.Name, metav1.Preconditions{}))
			i.Labels[v1alpha1.LabelGroup], i.ResourceVersion, i.UID = group, "", ""
			_, err := incidents.Create(t.Context(), i)
			require.NoError(t, err)
		}
	}
	cases := map[string]struct {
		before func(*testing.T, Incidents, *v1alpha1.Incident)
		stays  bool
		look   bool
	}{
		"as it was written": {before: func(*testing.T, Incidents, *v1alpha1.Incident) {}},
		"edited":            {before: status(func(st *v1alpha1.IncidentStatus) { st.Severity = "info" })},
		"an older revision": {before: status(func(st *v1alpha1.IncidentStatus) { st.ObservedRevision-- })},
		"reopened": {
			before: status(func(st *v1alpha1.IncidentStatus) { st.State = v1alpha1.StateFiring }),
			stays:  true,
			look:   true,
		},
		"a newer revision": {
			before: status(func(st *v1alpha1.IncidentStatus) { st.ObservedRevision++ }),
			stays:  true,
			look:   true,
		},
		"made again by its group": {before: again("0123456789abcdef")},
		"somebody else's":         {before: again("fedcba9876543210"), stays: true},
	}
	both(t, func(t *testing.T, incidents Incidents) {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				_, err := project(t, incidents, over)
				require.NoError(t, err)
				c.before(t, incidents, get(t, incidents))
				gone, err := project(t, incidents, func(o *aggregator.Object) {
					over(o)
					o.Delete = true
				})
				require.NoError(t, err)
				require.Equal(t, aggregator.Confirmed{Name: "pod-down-abcdefghij", Namespace: "stormfold", Missing: c.look}, gone)
				i, err := incidents.Get(t.Context(), "stormfold", "pod-down-abcdefghij")
				if c.stays {
					require.NoError(t, err)
					require.NoError(t, incidents.Delete(t.Context(), i.Namespace, i.Name, metav1.Preconditions{}))
					return
				}
				require.True(t, apierrors.IsNotFound(err), "%v", err)
			})
		}
	})
}

// What someone writes between the look and the delete is looked at again.
func TestADeleteIsDecidedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		state  v1alpha1.State
		writes int
		stays  bool
		err    string
	}{
		"an edit":         {v1alpha1.StateResolved, 1, false, ""},
		"two edits":       {v1alpha1.StateResolved, 2, false, ""},
		"edits all along": {v1alpha1.StateResolved, 1000, true, "still contended after 3 attempts"},
		"reopened":        {v1alpha1.StateFiring, 1, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, incidents Incidents) {
				over := func(o *aggregator.Object) {
					o.State, o.Reason, o.EndedAt = aggregator.StateResolved, "AllResolved", start
				}
				_, err := project(t, incidents, over)
				require.NoError(t, err)
				_, err = project(t, &lateWriter{incidents, c.state, c.writes}, func(o *aggregator.Object) {
					over(o)
					o.Delete = true
				})
				if c.err != "" {
					require.ErrorContains(t, err, c.err)
				} else {
					require.NoError(t, err)
				}
				_, err = incidents.Get(t.Context(), "stormfold", "pod-down-abcdefghij")
				require.Equal(t, !c.stays, apierrors.IsNotFound(err))
			})
		})
	}
}

// lateWriter changes the object before every delete.
type lateWriter struct {
	Incidents
	state v1alpha1.State
	left  int
}

func (w *lateWriter) Delete(ctx context.Context, namespace, name string, only metav1.Preconditions) error {
	if w.left > 0 {
		w.left--
		i, err := w.Get(ctx, namespace, name)
		if err != nil {
			return err
		}
		i.Status.State = w.state
		i.Status.Reopened++
		if _, err := w.UpdateStatus(ctx, i); err != nil {
			return err
		}
	}
	return w.Incidents.Delete(ctx, namespace, name, only)
}
