package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestFuncRun: the whole way with the function as the func CLI builds and runs it.
func TestFuncRun(t *testing.T) {
	t.Parallel()
	alertmanagers := startPair(t)
	i := install(t, options{bare: true})
	address := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	run := testbed.FuncRun(t, testbed.CopyTree(t, root),
		"FUNC_ADDRESS="+address, "STORMFOLD_REDIS_URL="+i.redis.URL, "STORMFOLD_NAMESPACE="+i.namespace,
		"STORMFOLD_METRICS_ADDRESS=off", "KUBECONFIG="+cluster.ServiceAccountKubeconfig(t, i.namespace, "stormfold"),
		"XDG_CONFIG_HOME="+t.TempDir())
	awaitReady(t, run, "http://"+address+"/health/readiness")
	i.serve("http://" + address)
	alertmanagers.join(i)

	all := alerts{name: "PodDown", n: 15, started: time.Now()}
	alertmanagers.fire(all)
	i.awaitStorm(15, 15, 0)
	alertmanagers.resolve(all)
	i.awaitStorm(15, 0, 15)
	require.Empty(t, i.dead.Deliveries())
}
