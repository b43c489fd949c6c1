// Package testbed builds, caches and starts the real servers that Stormfold talks to, as plain processes on loopback:
// Redis, etcd with kube-apiserver, Knative Eventing, Alertmanager, Prometheus, and the kubectl and func programs. It
// needs no containers, no cluster and no root.
//
// The way of a server:
//
//	Binary or Program ─► the executable: built once from the nested module "servers", or Debian's
//	FreePort          ─► a loopback port that this test process keeps until it ends
//	StartProcess      ─► a child in its own process group, with a log file, that dies with this process
//	await             ─► polled until it answers, or until it has exited, whichever comes first
//
// Each server has a Start function, which returns an error and fits TestMain and the up command, and one of the same
// name without "Start" for tests, which fails the test, prints the end of the log when the test failed, and stops the
// server at the test's end.
//
// A test package that needs one control plane for all its tests starts it in TestMain:
//
//	var cluster *testbed.Cluster
//
//	func TestMain(m *testing.M) {
//		os.Exit(testbed.RunWithControlPlane(m, func(c *testbed.Cluster) error { cluster = c; return nil }))
//	}
//
// Knative Eventing comes as its release has it, each component a process with the token of its own service account.
// What pods, DNS and Services would do is stood in for: manifests get the ports that are in use, an HTTP proxy in this
// process knows the names of the cluster (Env), and the programs of Deployments that Knative makes are run by
// RunDeployment. Two of its ports are fixed, so there is one at a time.
//
// Environment: STORMFOLD_TESTBED is the cache directory (default: stormfold/testbed in the user's cache directory),
// STORMFOLD_TESTBED_REDIS names another server that speaks Redis' protocol and options.
package testbed
