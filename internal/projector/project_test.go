package projector

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/test/testbed"
)

// real are the incidents of a real API server.
var real Incidents

func TestMain(m *testing.M) {
	os.Exit(testbed.RunWithControlPlane(m, func(c *testbed.Cluster) (err error) {
		if err := c.ApplyPaths(context.Background(), "../../deploy/namespace", filepath.Join("../..",
			"deploy/crd")); err != nil {
			return err
		}
		if err := c.AwaitCRD(context.Background(), "incidents.stormfold.io"); err != nil {
			return err
		}
		real, err = NewClient(c.Config, 5*time.Second, 1000, 1000)
		return err
	}))
}

// both runs a test on a real API server and on the embedded one, which has to answer alike.
func both(t *testing.T, test func(*testing.T, Incidents)) {
	t.Run("real", func(t *testing.T) {
		list, err := real.List(t.Context(), "stormfold", metav1.ListOptions{})
		require.NoError(t, err)
		for _, i := range list.Items {
			require.NoError(t, real.Delete(t.Context(), i.Namespace, i.Name, metav1.Preconditions{}))
		}
		test(t, real)
	})
	t.Run("embedded", func(t *testing.T) { test(t, &Memory{}) })
}

// project writes one object and returns what was confirmed.
func project(t *testing.T, incidents Incidents, change func(*aggregator.Object)) (aggregator.Confirmed, error) {
	s, o := storm(8)
	change(&o)
	s.Objects = []aggregator.Object{o}
	p := New(Options{Incidents: incidents, Timeout: 5 * time.Second, Fallback: "stormfold"})
	confirmed, err := p.Project(t.Context(), s)
	if len(confirmed) == 0 {
		return aggregator.Confirmed{}, err
	}
	return confirmed[0], err
}

func get(t *testing.T, incidents Incidents) *v1alpha1.Incident {
	i, err := incidents.Get(t.Context(), "stormfold", "pod-down-abcdefghij")
	require.NoError(t, err)
	return i
}

func TestProject(t *testing.T) {
	both(t, func(t *testing.T, incidents Incidents) {
		first, err := project(t, incidents, func(*aggregator.Object) {})
		require.NoError(t, err)
		require.EqualValues(t, 1777604400123, first.Revision)
		require.Equal(t, first.ResourceVersion, get(t, incidents).ResourceVersion)

		again, err := project(t, incidents, func(*aggregator.Object) {})
		require.NoError(t, err)
		require.Equal(t, first, again, "a create whose answer was lost finds its own object")

		next, err := project(
			t,
			incidents,
			func(o *aggregator.Object) { o.Revision++; o.ResourceVersion = first.ResourceVersion },
		)
		require.NoError(t, err)
		require.Equal(t, first.Revision+1, next.Revision)

		behind, err := project(t, incidents, func(o *aggregator.Object) { o.ResourceVersion = first.ResourceVersion })
		require.NoError(t, err)
		require.Equal(t, next, behind, "an older revision never overwrites a newer one")

		conflict, err := project(
			t,
			incidents,
			func(o *aggregator.Object) { o.Revision += 2; o.ResourceVersion = first.ResourceVersion },
		)
		require.NoError(t, err)
		require.Equal(t, first.Revision+2, conflict.Revision, "a newer one goes over an older one")

		over := func(o *aggregator.Object) {
			o.State, o.Reason, o.EndedAt = aggregator.StateResolved, "AllResolved", start
			o.Revision, o.ResourceVersion = first.Revision+3, conflict.ResourceVersion
		}
		_, err = project(t, incidents, over)
		require.NoError(t, err)
		remove := func(o *aggregator.Object) { over(o); o.Delete = true }
		gone, err := project(t, incidents, remove)
		require.NoError(t, err)
		require.Zero(t, gone.Revision)
		_, err = incidents.Get(t.Context(), "stormfold", first.Name)
		require.True(t, apierrors.IsNotFound(err), "%v", err)
		gone, err = project(t, incidents, remove)
		require.NoError(t, err)
		require.Zero(t, gone.Revision, "deleted twice")
	})
}

func TestProjectOntoADeletedObject(t *testing.T) {
	both(t, func(t *testing.T, incidents Incidents) {
		first, err := project(t, incidents, func(*aggregator.Object) {})
		require.NoError(t, err)
		require.NoError(t, incidents.Delete(t.Context(), "stormfold", first.Name, metav1.Preconditions{}))
		absorbed, err := project(t, incidents, func(o *aggregator.Object) {
			o.State, o.AbsorbedBy, o.EndedAt, o.ResourceVersion = aggregator.StateAbsorbed, "another", start,
				first.ResourceVersion
		})
		require.NoError(t, err)
		require.Zero(t, absorbed.Revision, "what points at another stays deleted")
		back, err := project(
			t,
			incidents,
			func(o *aggregator.Object) { o.Revision++; o.ResourceVersion = first.ResourceVersion },
		)
		require.NoError(t, err)
		require.Equal(t, first.Revision+1, back.Revision, "what goes on is put back")
		require.True(t, back.Missing)
		require.NoError(t, incidents.Delete(t.Context(), "stormfold", first.Name, metav1.Preconditions{}))
		over, err := project(t, incidents, func(o *aggregator.Object) {
			o.Revision += 2
			o.State, o.Reason, o.EndedAt, o.ResourceVersion = aggregator.StateResolved, "AllResolved", start,
				back.ResourceVersion
		})
		require.NoError(t, err)
		require.Equal(t, first.Revision+2, over.Revision, "so is what ended since")
	})
}

// A second writer that changes the object before every write of ours is overtaken when it stops, and until then an
// error.
func TestAConflictStorm(t *testing.T) {
	both(t, func(t *testing.T, incidents Incidents) {
		first, err := project(t, incidents, func(*aggregator.Object) {})
		require.NoError(t, err)
		meddler := &meddler{Incidents: incidents, left: 1000}
		_, err = project(t, meddler, func(o *aggregator.Object) { o.Revision++; o.ResourceVersion = first.ResourceVersion })
		require.ErrorContains(t, err, "still contended after 3 attempts")
		meddler.left = 2
		after, err := project(
			t,
			meddler,
			func(o *aggregator.Object) { o.Revision++; o.ResourceVersion = first.ResourceVersion },
		)
		require.NoError(t, err)
		require.Equal(t, first.Revision+1, after.Revision)
	})
}

// meddler changes the object before every status write.
type meddler struct {
	Incidents
	left int
}

func (m *meddler) UpdateStatus(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	if m.left > 0 {
		m.left--
		other, err := m.Get(ctx, incident.Namespace, incident.Name)
		if err != nil {
			return nil, err
		}
		other.Status.Reopened++
		if _, err := m.Incidents.UpdateStatus(ctx, other); err != nil {
			return nil, err
		}
	}
	return m.Incidents.UpdateStatus(ctx, incident)
}

// The largest incident there can be is accepted by a real API server.
func TestTheLargestIncidentIsAccepted(t *testing.T) {
	s, o := storm(10000)
	o.Name = "largest"
	s.Objects = []aggregator.Object{o}
	p := New(Options{Incidents: real, Timeout: 5 * time.Second, Fallback: "stormfold"})
	_, err := p.Project(t.Context(), s)
	require.NoError(t, err)
	require.NoError(t, real.Delete(t.Context(), "stormfold", "largest", metav1.Preconditions{}))
}

func TestCheck(t *testing.T) {
	p := New(Options{Incidents: real, Timeout: 5 * time.Second})
	require.NoError(t, p.Check(t.Context(), "stormfold"))
	p = New(Options{Incidents: denied{real}, Timeout: 5 * time.Second})
	err := p.Check(t.Context(), "stormfold")
	require.ErrorIs(t, err, ErrNotAllowed)
	require.ErrorContains(t, err, "may not update incidents/status in namespace stormfold: apply deploy/rbac")
}

// denied may do all but write the status.
type denied struct{ Incidents }

func (denied) Allowed(_ context.Context, _, _, subresource string) (bool, error) {
	return subresource == "", nil
}

func TestImportReadsPages(t *testing.T) {
	both(t, func(t *testing.T, incidents Incidents) {
		_, err := project(t, incidents, func(*aggregator.Object) {})
		require.NoError(t, err)
		p := New(Options{Incidents: incidents, Timeout: 5 * time.Second})
		var names []string
		take := func(i aggregator.Imported) error { names = append(names, i.Object.Name); return nil }
		require.NoError(t, p.ImportShard(t.Context(), "stormfold", 1, take, func(string, string) {}))
		require.NoError(t, p.ImportShard(t.Context(), "stormfold", 2, take, func(string, string) {}))
		require.NoError(t, p.ImportGroup(t.Context(), "", "0123456789abcdef", take))
		require.Equal(t, []string{"pod-down-abcdefghij", "pod-down-abcdefghij"}, names)
		_, err = incidents.Get(t.Context(), "stormfold", "nothing")
		require.True(t, apierrors.IsNotFound(err))
	})
}
