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
	require.Equal(t, []string{"{sf:03}:due", "{sf:03}:groups", "{sf:03}:epoch"}, shardKeys(3))
	require.Equal(t, "{sf:03}:wait", waitKey(3))
	require.Equal(t, "{sf:03}:server", serverKey(3))
	require.Equal(t, []string{
		"{sf:03}:g:13a4f00000000000",
		"{sf:03}:g:13a4f00000000000:alerts",
		"{sf:03}:g:13a4f00000000000:recent",
		"{sf:03}:g:13a4f00000000000:objects",
		"{sf:03}:g:13a4f00000000000:open",
		"{sf:03}:g:13a4f00000000000:todo", "{sf:03}:g:13a4f00000000000:waiting",
	}, groupKeys(3, "13a4f00000000000"))
}
