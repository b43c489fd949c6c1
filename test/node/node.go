//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/stormfold/stormfold/test/testbed"
)

// node is the node and the clients to it.
type node struct {
	plan    plan
	cluster *testbed.Cluster
	dynamic dynamic.Interface
}

func (n *node) file(name string) string { return filepath.Join(n.plan.Dir, name) }

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: DIR/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [NODE]
clusterDomain: cluster.local
resolvConf: ""
makeIPTablesUtilChains: false
enforceNodeAllocatable: [pods]
evictionHard: {memory.available: 200Mi, nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxPods: 200
kubeAPIQPS: 100
kubeAPIBurst: 200
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: DIR/kubeconfig}
bindAddress: NODE
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 200ms}
`

const dnsConfig = `.:53 {
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig DIR/kubeconfig testbed
    pods disabled
    ttl 5
  }
  cache 5
}
`

// startNode starts a cluster of one node and returns when the node is ready.
func startNode(ctx context.Context, p plan) (*node, error) {
	n := &node{plan: p}
	for _, dir := range []string{"kubelet"} {
		if err := os.MkdirAll(n.file(dir), 0o755); err != nil {
			return nil, err
		}
	}
	if err := n.startContainerd(ctx); err != nil {
		return nil, err
	}
	var err error
	n.cluster, err = testbed.StartControlPlane(
		p.Dir,
		"--bind-address=0.0.0.0",
		"--secure-port=6443",
		"--advertise-address="+nodeIP,
		"--endpoint-reconciler-type=lease",
		"--authorization-mode=Node",
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate="+n.file("admin.crt"),
		"--kubelet-client-key="+n.file("admin.key"),
	)
	if err != nil {
		return nil, err
	}
	if n.dynamic, err = dynamic.NewForConfig(n.cluster.Config); err != nil {
		return nil, err
	}
	if _, err := n.cluster.StartControllerManager(ctx, "*"); err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("DIR", p.Dir, "NODE", nodeIP)
	for name, content := range map[string]string{"kubelet.yaml": kubeletConfig, "proxy.yaml": proxyConfig,
		"Corefile": dnsConfig} {
		if err := os.WriteFile(n.file(name), []byte(fill.Replace(content)), 0o644); err != nil {
			return nil, err
		}
	}
	kubeconfig := "--kubeconfig=" + n.cluster.KubeconfigPath
	for name, args := range map[string][]string{
		"kube-scheduler": {kubeconfig, "--bind-address=127.0.0.1", "--leader-elect=false"},
		"kubelet": {
			kubeconfig, "--config=" + n.file("kubelet.yaml"), "--root-dir=" + n.file("kubelet"), "--hostname-override=" +
				nodeName,
			"--node-ip=" + nodeIP,
		},
		"kube-proxy": {"--config=" + n.file("proxy.yaml"), "--hostname-override=" + nodeName},
		"coredns":    {"-conf", n.file("Corefile")},
	} {
		if _, err := n.start(name, args...); err != nil {
			return nil, err
		}
	}
	return n, eventually(ctx, 2*time.Minute, "the node", func(ctx context.Context) error {
		object, err := n.cluster.Client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range object.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("not ready")
	})
}

// kubectl runs kubectl as the administrator.
func (n *node) kubectl(ctx context.Context, args ...string) (string, error) {
	return n.cluster.RunKubectl(ctx, "", args...)
}

// eventually polls a condition until it holds. The time is a bound for a machine that hangs, and no assertion.
func eventually(ctx context.Context, within time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, ctx.Err(), last)
		case <-time.After(250 * time.Millisecond):
		}
	}
}
