package aggregator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What happens when alerts that waited are folded is reported with their policy and alert, though no event is there to
// name them.
func TestAReplayNamesItsPolicy(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	group := l.fold(l.pods(15, Firing)...).Group
	l.imported()
	f, err := l.Replay(l.ctx, group)
	require.NoError(t, err)
	require.Equal(t, l.policy.Name, f.Policy)
	require.Len(t, f.Transitions, 1)
	told := f.Transitions[0]
	require.Equal(t, Stormed, told.Type)
	require.Equal(t, l.policy.Name, told.Policy)
	require.Equal(t, "PodDown", told.AlertName)
	require.Equal(t, group, told.Group)
}
