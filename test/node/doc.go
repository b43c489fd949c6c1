// Command node runs a Kubernetes node on this machine, with Knative Serving and Eventing as pods, installs Stormfold on
// it as the documentation says, and goes through a round of storms and faults. It asserts counts and states, never
// times.
//
//	go run ./test/node                       # one round
//	go run ./test/node -round release        # a round about the chart and install.yaml of a release
//	go run ./test/node -round func           # a round about the Service of func deploy
//	go run ./test/node -round production     # a round about deploy/production, a Redis that fails over, timers
//	go run ./test/node -round hops           # measure how long an answer takes by each way to the function
//	go run ./test/node -steps 'Redis|burst'  # only the steps whose names match, and those that they need
//	go run ./test/node -rounds 10            # ten
//	go run ./test/node -document FILE        # and put the table of the last round into a document
//	go run ./test/node -stay                 # install everything, print how to look at it, run until interrupted
//
// The way of a round:
//
//	main       build programs and images; enter new pid, mount, network and uts namespaces
//	machine    mounts, sysctls and a bridge inside; the machine itself stays as it is
//	node       containerd, the testbed's control plane, kubelet, kube-proxy, CoreDNS
//	knative    Serving and Eventing by the manifests of their modules
//	ingress    a small networking layer for Serving, in this process
//	policies   network policies, enforced with nft
//	install    the ways to install Stormfold: trial, release and func; failover has what only production meets
//	steps      what is done and asserted; load and journal are those of test/faults
//
// Everything ends with the namespaces' first process.
package main
