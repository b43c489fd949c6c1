package testbed_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// peers is how many members an Alertmanager counts in its cluster, itself included.
func peers(t testing.TB, member *testbed.AlertmanagerServer) int {
	t.Helper()
	response, err := http.Get(member.URL + "/api/v2/status")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var status struct{ Cluster struct{ Peers []any } }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&status))
	return len(status.Cluster.Peers)
}

func TestAlertmanagerPairIsCutAndHealed(t *testing.T) {
	t.Parallel()
	pair := testbed.StartedAlertmanagerPair(
		t,
		"route: {receiver: none}\nreceivers: [{name: none}]\n",
		"--cluster.probe-interval=200ms",
		"--cluster.probe-timeout=100ms",
	)
	both := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			return peers(t, pair.Members[0]) == want && peers(t, pair.Members[1]) == want
		}, 60*time.Second, 50*time.Millisecond)
	}
	both(2)
	pair.Cut()
	both(1)
	assert.True(t, pair.Members[0].Running() && pair.Members[1].Running())
	pair.Heal()
	both(2)
}
