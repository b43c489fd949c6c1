//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// byFunc is the trial with the Service of `func deploy` in place of the one of deploy/function.
func byFunc() installation {
	t := trial()
	return installation{
		install: action{
			"`kubectl apply -k deploy/trial`, then `func deploy` for the Service",
			func(ctx context.Context, n *node) error {
				if _, err := t.installed(ctx, n); err != nil {
					return err
				}
				if _, err := n.kubectl(ctx, "--namespace", namespace, "delete", "ksvc/stormfold"); err != nil {
					return err
				}
				return n.funcDeploy(ctx)
			},
		},
		update: action{"`func deploy` with `--env`, under load", func(ctx context.Context, n *node) error {
			return n.funcDeploy(ctx, "--env", "STORMFOLD_LOG_LEVEL=debug")
		}},
		uninstall: t.uninstall,
		pods:      t.pods, redis: t.redis,
	}
}

// funcDeploy runs `func deploy` with the image that make image built: func's own build needs a registry.
func (n *node) funcDeploy(ctx context.Context, args ...string) error {
	image, err := n.byDigest(ctx, "dev.local/stormfold")
	if err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(n.plan.Project, "func.yaml"))
	if err != nil {
		return err
	}
	dir := n.file("func")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "func.yaml"), content, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, n.plan.Programs["func"], append([]string{
		"deploy", "--path", dir, "--namespace", namespace, "--image", image, "--build=false", "--push=false",
	}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+n.cluster.KubeconfigPath, "XDG_CONFIG_HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("func deploy: %w: %s", err, out)
	}
	return nil
}

// byDigest lets the node know an image of it by its digest too, and returns that name.
func (n *node) byDigest(ctx context.Context, name string) (string, error) {
	out, err := n.ctr(ctx, "images", "list")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) { // REF TYPE DIGEST ...
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[0], name+":") {
			digested := name + "@" + f[2]
			_, err := n.ctr(ctx, "images", "tag", "--force", f[0], digested)
			return digested, err
		}
	}
	return "", errors.New("the node has no image " + name)
}
