//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
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

// redisPassword is the function's.
const redisPassword = "aaaa"

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
	const redis, sentinel, replication = redisPassword, "bbbb", "cccc"
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
	dir, err := n.overlay("production", productionOverlay)
	if err != nil {
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

// deleteAll deletes what the trial and production have in common, and then the rest of production.
func deleteAll(ctx context.Context, n *node) error {
	if err := deleteTrial(ctx, n); err != nil {
		return err
	}
	_, err := n.kubectl(ctx, "delete", "-k", n.file("production"), "--ignore-not-found", "--timeout=5m")
	return err
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
