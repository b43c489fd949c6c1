package aggregator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A changed key is a lost storm: the literal strings are the contract with the Redis of the version before.
func TestKeys(t *testing.T) {
	require.Equal(t, 3, ShardOf("13a4f00000000000"))
	require.Equal(t, 15, ShardOf("ffa4f00000000000"))
	require.Equal(t, 3, ShardOf(overflowID("default", 3)))
	k := newKeyspace("")
	require.Equal(t, "{sf:03}:import", k.lease(3))
	require.Equal(t, "{sf:03}:wait", k.wait(3))
	require.Equal(t, "{sf:03}:server", k.server(3))
	require.Equal(t, "{sf:00}:format", k.format())
	require.Equal(t, []string{
		"{sf:03}:due", "{sf:03}:groups", "{sf:03}:epoch",
		"{sf:03}:g:13a4f00000000000",
		"{sf:03}:g:13a4f00000000000:alerts",
		"{sf:03}:g:13a4f00000000000:recent",
		"{sf:03}:g:13a4f00000000000:objects",
		"{sf:03}:g:13a4f00000000000:open",
		"{sf:03}:g:13a4f00000000000:todo", "{sf:03}:g:13a4f00000000000:waiting",
		"{sf:03}:g:2300000000000000",
		"{sf:03}:g:2300000000000000:alerts",
		"{sf:03}:g:2300000000000000:recent",
		"{sf:03}:g:2300000000000000:objects",
		"{sf:03}:g:2300000000000000:open",
		"{sf:03}:g:2300000000000000:todo", "{sf:03}:g:2300000000000000:waiting",
	}, k.script("13a4f00000000000", "2300000000000000"))

	k = newKeyspace("blue-2")
	require.Equal(t, "{blue-2:00}:format", k.format())
	require.Equal(t, "{blue-2:03}:g:13a4f00000000000:open", k.group("13a4f00000000000").open)
	require.Equal(
		t,
		[]string{"{blue-2:03}:due", "{blue-2:03}:groups", "{blue-2:03}:epoch"},
		k.script("13a4f00000000000")[:3],
	)
}
