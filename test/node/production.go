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

	"github.com/stormfold/stormfold/test/faults"
	"github.com/stormfold/stormfold/test/testbed"
)

// productionOverlay is deploy/production and deploy/redis/ha on one node: its servers may share it, and ask for little
// of it.
const productionOverlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- PATH/deploy/production
- PATH/deploy/redis/ha
patches:
- target: {kind: StatefulSet}
  patch: |-
    - {op: remove, path: /spec/template/spec/affinity}
    - {op: replace, path: /spec/template/spec/containers/0/resources/requests, value: {cpu: 5m, memory: 32Mi}}
`

// funcService replaces the Service of deploy/function by the one that `func deploy` makes. Without a registry func
// cannot build: it is given an image, and the Service gets the one that the node has.
func funcService(ctx context.Context, n *node) (string, error) {
	if _, err := n.kubectl(ctx, "--namespace", namespace, "delete", "ksvc/stormfold"); err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(n.plan.Project, "func.yaml"))
	if err != nil {
		return "", err
	}
	dir := n.file("func")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "func.yaml"), content, 0o644); err != nil {
		return "", err
	}
	process, err := testbed.StartProcess(testbed.Command{
		Name: "func", Path: n.plan.Programs["func"], Dir: dir, Env: []string{"KUBECONFIG=" + n.cluster.KubeconfigPath,
			"XDG_CONFIG_HOME=" + dir},
		Args: []string{
			"deploy", "--path", dir, "--namespace", namespace, "--image", "dev.local/stormfold@sha256:" + strings.Repeat("0",
				64),
			"--build=false", "--push=false",
		},
	})
	if err != nil {
		return "", err
	}
	defer process.Kill() //nolint:errcheck // It ends by itself when the Service is ready.
	err = eventually(ctx, time.Minute, "the Service that func makes", func(ctx context.Context) error {
		const patch = `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"dev.local/stormfold:v0.1.0"}]`
		_, err := n.kubectl(ctx, "--namespace", namespace, "patch", "ksvc/stormfold", "--type=json", "--patch", patch)
		return err
	})
	if err != nil {
		return "", err
	}
	if err := n.ready(ctx, "ksvc/stormfold"); err != nil {
		return "", err
	}
	verdict, err := n.run(ctx, direct("Func", 4000, 100), nil)
	return result(verdict), err
}

// toProduction is what docs/install.md says of another Redis, while events come.
func toProduction(ctx context.Context, n *node) (string, error) {
	if err := n.volumes(ctx); err != nil {
		return "", err
	}
	l, err := n.viaBroker(ctx, "Move", 4000)
	if err != nil {
		return "", err
	}
	verdict, err := n.run(ctx, l, n.move)
	return result(verdict), err
}

func (n *node) move(ctx context.Context) error {
	const redis, sentinel, replication = "aaaa", "bbbb", "cccc"
	const s = "stormfold-redis-sentinel"
	hosts := fmt.Sprintf("%[1]s-0.%[1]s:26379/0?addr=%[1]s-1.%[1]s:26379&addr=%[1]s-2.%[1]s:26379", s)
	for _, args := range []string{
		"delete ksvc/stormfold",
		"wait --for=delete pod --selector " + functionPods + " --timeout=5m",
		"delete statefulset/stormfold-redis-trial service/stormfold-redis-trial secret/stormfold-redis",
		"create secret generic stormfold-source-token --from-literal=token=secret",
		"create secret generic stormfold-redis --from-literal=password=" + redis + " --from-literal=sentinel-password=" +
			sentinel +
			" --from-literal=replication-password=" + replication + " --from-literal=url=redis://:" + sentinel + "@" + hosts +
			"&master_name=stormfold&username=stormfold&password=" + redis,
	} {
		if _, err := n.kubectl(ctx, append([]string{"--namespace", namespace}, strings.Fields(args)...)...); err != nil {
			return err
		}
	}
	dir := n.file("production")
	path, err := filepath.Rel(dir, n.plan.Project)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	overlay := strings.ReplaceAll(productionOverlay, "PATH", path)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o644); err != nil {
		return err
	}
	if _, err := n.kubectl(ctx, "apply", "-k", dir); err != nil {
		return err
	}
	return n.ready(
		ctx,
		"statefulset/stormfold-redis",
		"statefulset/stormfold-redis-sentinel",
		"ksvc/stormfold",
		"trigger/stormfold",
		"deployment/stormfold-source",
	)
}

// volumes makes those that the StatefulSets of deploy/redis/ha claim.
func (n *node) volumes(ctx context.Context) error {
	var objects []map[string]any
	for i := range 6 {
		dir := n.file(fmt.Sprintf("volumes/%d", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
		objects = append(objects, map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolume", "metadata": map[string]any{"name": fmt.Sprintf("volume-%d", i)},
			"spec": map[string]any{
				"capacity": map[string]any{
					"storage": "20Gi",
				}, "accessModes": []any{"ReadWriteOnce"}, "hostPath": map[string]any{"path": dir},
			},
		})
	}
	return n.apply(ctx, objects...)
}

// master asks a Sentinel who the master is; it answers with the name of a pod.
func (n *node) master(ctx context.Context) (string, error) {
	out, err := n.kubectl(ctx, "--namespace", namespace, "exec", "stormfold-redis-sentinel-0", "--", "sh", "-c",
		`REDISCLI_AUTH="$SENTINEL_PASSWORD" redis-cli -p 26379 sentinel get-master-addr-by-name stormfold`)
	if err != nil {
		return "", err
	}
	name, _, found := strings.Cut(out, ".")
	if !found {
		return "", errors.New("the Sentinel says " + out)
	}
	return strings.TrimSpace(name), nil
}

// failover takes the master away, until the Sentinels have made another one the master.
func (n *node) failover(ctx context.Context) error {
	before, err := n.master(ctx)
	if err != nil {
		return err
	}
	// Without a place to go the pod stays away, as if its node were lost.
	if _, err := n.kubectl(ctx, "cordon", nodeName); err != nil {
		return err
	}
	if _, err := n.kubectl(ctx, "--namespace", namespace, "delete", "pod", before, "--grace-period=0",
		"--force"); err != nil {
		return err
	}
	err = eventually(ctx, 3*time.Minute, "another master", func(ctx context.Context) error {
		after, err := n.master(ctx)
		if err == nil && after == before {
			err = errors.New(before + " is the master still")
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := n.kubectl(ctx, "uncordon", nodeName); err != nil {
		return err
	}
	return n.ready(ctx, "statefulset/stormfold-redis")
}

func failover(ctx context.Context, n *node) (string, error) {
	l, err := n.viaBroker(ctx, "Failover", 3000)
	if err != nil {
		return "", err
	}
	journal := faults.NewJournal()
	if err := n.send(ctx, l, journal, n.failover); err != nil {
		return "", err
	}
	// What the old master had acknowledged and no replica had, is known again by a repetition.
	if err := l.send(ctx, journal, nil); err != nil {
		return "", err
	}
	verdict, err := n.exact(ctx, l, journal)
	return result(verdict) + " after every alert was sent once more", err
}

func failoverWaiting(ctx context.Context, n *node) (string, error) {
	const patch = `[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"STORMFOLD_REDIS_WAIT_REPLICAS","value":"1"}}]`
	if _, err := n.kubectl(ctx, "--namespace", namespace, "patch", "ksvc/stormfold", "--type=json", "--patch",
		patch); err != nil {
		return "", err
	}
	err := eventually(ctx, 4*time.Minute, "a revision that waits for replicas", func(ctx context.Context) error {
		out, err := n.kubectl(
			ctx,
			"--namespace",
			namespace,
			"get",
			"ksvc/stormfold",
			"--output",
			"jsonpath={.status.latestReadyRevisionName} {.status.latestCreatedRevisionName} {.metadata.generation} {.status.observedGeneration}",
		)
		f := strings.Fields(out)
		if err == nil && (len(f) != 4 || f[0] != f[1] || f[2] != f[3]) {
			err = errors.New(out)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	l, err := n.viaBroker(ctx, "FailoverWaiting", 3000)
	if err != nil {
		return "", err
	}
	verdict, err := n.run(ctx, l, n.failover)
	return result(verdict), err
}
