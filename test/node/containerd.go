//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stormfold/stormfold/test/testbed"
)

const containerdConfig = `version = 2
root = "DIR/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + toolbox + `"
  disable_apparmor = true
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "DIR/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "RUNC"
        SystemdCgroup = false
`

const cniConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "DIR/cni-data", "ranges": [[
    {"subnet": "10.244.0.0/16", "rangeStart": "10.244.1.1", "rangeEnd": "10.244.9.254", "gateway": "` + nodeIP + `"}]]}
}]}
`

// startContainerd starts containerd and imports all images.
func (n *node) startContainerd(ctx context.Context) error {
	fill := strings.NewReplacer("DIR", n.plan.Dir, "RUNC", n.plan.Programs["runc"])
	for name, content := range map[string]string{"containerd.toml": containerdConfig, "cni/10-pods.conflist": cniConfig} {
		path := n.file(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(fill.Replace(content)), 0o644); err != nil {
			return err
		}
	}
	_, err := n.start("containerd", "--config", n.file("containerd.toml"), "--log-level", "warn")
	if err != nil {
		return err
	}
	if err := eventually(ctx, time.Minute, "containerd", func(ctx context.Context) error {
		_, err := n.ctr(ctx, "version")
		return err
	}); err != nil {
		return err
	}
	for _, archive := range n.plan.Images {
		if _, err := n.ctr(ctx, "images", "import", "--digests", archive); err != nil {
			return err
		}
	}
	return nil
}

// ctr runs containerd's client in the namespace of Kubernetes.
func (n *node) ctr(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, n.plan.Programs["ctr"], append([]string{"--namespace", "k8s.io"}, args...)...).
		CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// start starts a program of the node with a log in the round's directory.
func (n *node) start(name string, args ...string) (*testbed.Process, error) {
	return testbed.StartProcess(testbed.Command{Name: name, Path: n.plan.Programs[name], Args: args, Dir: n.plan.Dir})
}
