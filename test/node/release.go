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

// releaseFiles is what docs/release.md says to do before anything is installed.
var releaseFiles = []step{{"`sha256sum --check checksums.txt`", checksums, false}}

func checksums(ctx context.Context, n *node) (string, error) {
	cmd := exec.CommandContext(ctx, "sha256sum", "--check", "--strict", "checksums.txt")
	cmd.Dir = n.plan.Release
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("sha256sum: %w: %s", err, out)
	}
	return fmt.Sprintf("%d files OK", strings.Count(string(out), ": OK\n")), nil
}

const (
	// senderToken is the token of the source, and elsewhere the namespace of a Redis that is not ours.
	senderToken = "secret"
	data        = "data"
	redisURL    = "redis://stormfold:trial@stormfold-redis-trial." + data + ".svc:6379/0"
)

// dataOverlay is a Redis that an administrator has in another namespace.
const dataOverlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: ` + data + `
resources:
- PATH/deploy/redis/trial
`

// prerequisites are what docs/install.md says to make before production: a Redis, and the Secrets.
func (n *node) prerequisites(ctx context.Context, secrets ...string) error {
	dir, err := n.overlay(data, dataOverlay)
	if err != nil {
		return err
	}
	commands := []string{
		"create namespace " + data,
		"apply -k " + dir,
		"--namespace " + data + " rollout status statefulset/stormfold-redis-trial --timeout=4m",
		"create namespace " + namespace,
		"--namespace " + namespace + " create secret generic stormfold-source-token --from-literal=token=" + senderToken,
	}
	for _, command := range append(commands, secrets...) {
		if _, err := n.kubectl(ctx, strings.Fields(command)...); err != nil {
			return err
		}
	}
	return nil
}

// overlay writes a kustomization, in which PATH is the project, into a directory.
func (n *node) overlay(name, content string) (dir string, err error) {
	dir = n.file(name)
	path, err := filepath.Rel(dir, n.plan.Project)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	content = strings.ReplaceAll(content, "PATH", path)
	return dir, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(content), 0o644)
}

// chart is the release's chart, with the values of docs/release.md and a source for Warning Events.
func chart() installation {
	const values = "redis.url=" + redisURL + ",kubernetesEvents=true"
	helm := func(command, values string) func(context.Context, *node) error {
		return func(ctx context.Context, n *node) error {
			archive, err := only(n.plan.Release, "stormfold-*.tgz")
			if err != nil {
				return err
			}
			return n.helm(ctx, command, "stormfold", archive, "--set", values)
		}
	}
	return installation{
		install: action{"`helm install`, with a Redis in another namespace", func(ctx context.Context, n *node) error {
			if err := n.prerequisites(ctx); err != nil {
				return err
			}
			return helm("install", values)(ctx, n)
		}},
		again: action{"`helm upgrade` with the same values", helm("upgrade", values)},
		update: action{
			"`helm upgrade` with `function.env`, under load",
			helm("upgrade", values+",function.env[0].name=STORMFOLD_LOG_LEVEL,function.env[0].value=debug"),
		},
		uninstall: action{"`helm uninstall`, and the CRD and namespace deleted", func(ctx context.Context, n *node) error {
			if err := n.helm(ctx, "uninstall", "stormfold"); err != nil {
				return err
			}
			_, err := n.kubectl(ctx, "delete", "crd/incidents.stormfold.io", "namespace/"+namespace, "namespace/"+data,
				"--timeout=5m")
			return err
		}},
		pods: "two pods", token: senderToken, redis: data,
	}
}

func (n *node) helm(ctx context.Context, args ...string) error {
	home := n.file("helm")
	cmd := exec.CommandContext(ctx, n.plan.Programs["helm"], append(args, "--namespace", namespace)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+n.cluster.KubeconfigPath, "HOME="+home, "HELM_CACHE_HOME="+home,
		"HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// manifest is the release's install.yaml.
func manifest() installation {
	file := func(n *node) string { return filepath.Join(n.plan.Release, "install.yaml") }
	apply := func(ctx context.Context, n *node) error {
		_, err := n.kubectl(ctx, "apply", "--filename", file(n))
		return err
	}
	return installation{
		install: action{
			"`kubectl apply --filename install.yaml`, with a Redis in another namespace",
			func(ctx context.Context, n *node) error {
				secret := "--namespace " + namespace + " create secret generic stormfold-redis --from-literal=url=" + redisURL
				return errors.Join(n.prerequisites(ctx, secret), apply(ctx, n))
			},
		},
		again: action{"the same again", apply},
		uninstall: action{"`kubectl delete --filename install.yaml`", func(ctx context.Context, n *node) error {
			_, err := n.kubectl(ctx, "delete", "--filename", file(n), "--timeout=5m")
			if err == nil {
				_, err = n.kubectl(ctx, "delete", "namespace/"+data, "--timeout=5m")
			}
			return err
		}},
		pods: "two pods", token: senderToken, redis: data,
	}
}

// short are the steps for an installation of the same objects as one that had the whole round.
func (i installation) short() []step {
	return []step{
		{i.install.name, i.installed, true},
		{i.again.name, i.unchanged, false},
		{"15 alerts, 500, resolved, by the source's webhook", i.webhookStorm, false},
		{"SIGKILL of Redis under load", i.redisKilled, false},
		{i.uninstall.name, i.uninstalled, true},
	}
}
