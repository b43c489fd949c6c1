//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/stormfold/stormfold/test/testbed"
)

// servingPods and eventingPods are the programs that run in pods, by the last part of the package that their manifests
// name.
var (
	servingPods = map[string]string{
		"activator": "serving-activator", "autoscaler": "serving-autoscaler", "controller": "serving-controller",
		"queue": "serving-queue", "webhook": "serving-webhook",
	}
	eventingPods = map[string]string{
		"controller": "eventing-controller", "webhook": "eventing-webhook", "mtchannel_broker": "mt-broker-controller",
		"mtping": "pingsource-mt-adapter", "apiserver_receive_adapter": "apiserversource-adapter",
		"broker/ingress": "mt-broker-ingress", "broker/filter": "mt-broker-filter",
		"in_memory/channel_controller": "imc-controller", "in_memory/channel_dispatcher": "imc-dispatcher",
	}
	nodePrograms = []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "kubelet", "kube-proxy", "kube-scheduler", "func",
	}
	systemPrograms = []string{
		"containerd",
		"ctr",
		"runc",
		"/usr/lib/cni/bridge",
		"nft",
		"ip",
		"busybox",
		"redis-server",
		"redis-cli",
	}
)

// toolbox is the image with a shell: the pause container's, and that of the pod from which the round sends.
const toolbox = "dev.local/toolbox:v1"

// prepare builds every program and image. What it needs of the network it needs here.
func prepare(ctx context.Context, dir string, p *plan) error {
	p.Dir = filepath.Join(dir, "round")
	names := slices.Clone(nodePrograms)
	for _, pods := range []map[string]string{servingPods, eventingPods} {
		for _, name := range pods {
			names = append(names, name)
		}
	}
	var err error
	if p.Programs, err = testbed.Build(names...); err != nil {
		return err
	}
	if p.Programs["coredns"], err = testbed.BuildModule("test/node/coredns"); err != nil {
		return err
	}
	for _, name := range systemPrograms {
		if p.Programs[name], err = testbed.Program(name); err != nil {
			return err
		}
	}
	// The go command, unlike this program, knows the project's root wherever it was started.
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the project: %w", err)
	}
	p.Project = strings.TrimSpace(string(root))
	target, pattern := "image", "bin/image/%s.tar"
	if p.Round == "release" {
		target, pattern = "release", "bin/release/stormfold_*_image_%s.tar"
		p.Release = filepath.Join(p.Project, "bin/release")
		if p.Programs["helm"], err = testbed.Helm(); err != nil {
			return err
		}
	}
	platform := "linux/" + runtime.GOARCH
	if out, err := exec.CommandContext(ctx, "make", "-C", p.Project, target,
		"IMAGE_PLATFORMS="+platform, "CLI_PLATFORMS="+platform).CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", target, err, out)
	}
	for _, name := range []string{"stormfold", "alertmanager-source", "dead-letters"} {
		archive, err := only(p.Project, fmt.Sprintf(pattern, name))
		if err != nil {
			return err
		}
		p.Images = append(p.Images, archive)
	}
	add := func(i image) error {
		path := filepath.Join(dir, strings.NewReplacer("/", "-", ":", "-").Replace(i.name)+".tar")
		p.Images = append(p.Images, path)
		return i.write(path)
	}
	for area, pods := range map[string]map[string]string{"serving": servingPods, "eventing": eventingPods} {
		for pkg, name := range pods {
			if err := add(programImage("dev.local/"+area+"/"+pkg+":v1", p.Programs[name])); err != nil {
				return err
			}
		}
	}
	if err := add(toolboxImage(p.Programs["busybox"])); err != nil {
		return err
	}
	redis, err := redisImage(*p)
	if err != nil {
		return err
	}
	p.Redis = redis.name
	return add(redis)
}

// only is the only file of a directory whose name matches.
func only(dir, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files match %s in %s, want 1", len(found), pattern, dir)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
