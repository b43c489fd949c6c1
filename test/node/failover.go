//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/test/faults"
)

// acknowledged is a load whose answers are the function's: a 2xx says that the alert is in Redis. A Broker's says less.
func acknowledged(name string) load {
	l := direct(name, 3000, 50)
	l.every = 10 * time.Millisecond
	return l
}

// masterKilled: the master's process ends by SIGKILL and is started again, from its append-only file.
func masterKilled(ctx context.Context, n *node) (string, error) {
	before, err := n.restarts(ctx, namespace, redisPods)
	if err != nil {
		return "", err
	}
	l := acknowledged("MasterKilled")
	verdict, err := n.once(ctx, l, faults.NewJournal(), func(ctx context.Context) error {
		master, err := n.master(ctx)
		if err != nil {
			return err
		}
		return n.kill(ctx, namespace, podNamed+master, "redis")
	})
	if err == nil {
		err = verdict.Err()
	}
	if err != nil {
		return "", err
	}
	after, err := n.restarts(ctx, namespace, redisPods)
	if err == nil && after != before+1 {
		err = fmt.Errorf("containers of Redis were restarted %d times, want once", after-before)
	}
	return result(verdict), err
}

// failover: what the master acknowledged and no replica had is missing until the senders repeat it.
func failover(ctx context.Context, n *node) (string, error) {
	l, journal := acknowledged("Failover"), faults.NewJournal()
	measured, err := n.once(ctx, l, journal, n.loseMaster)
	if err != nil {
		return "", err
	}
	if measured.Lost == 0 {
		return "", errors.New("nothing is missing: the replicas were not cut off, or the count does not show a loss")
	}
	if err := l.send(ctx, journal, nil); err != nil {
		return "", err
	}
	_, err = n.exact(ctx, l, journal)
	return fmt.Sprintf("%d events taken (answers: %s), %d alerts missing; ", measured.Events, answers(measured), measured.Lost) +
		"after every alert was sent once more, each is in exactly one incident", err
}

// failoverWaiting: nothing is missing, and nothing is sent again.
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
	verdict, err := n.once(ctx, acknowledged("FailoverWaiting"), faults.NewJournal(), n.loseMaster)
	if err == nil {
		err = verdict.Err()
	}
	return result(verdict) + ", 0 missing", err
}

// once sends a load, does something meanwhile, and counts when nothing is left to be written. What was taken is not
// sent again.
func (n *node) once(ctx context.Context, l load, j *faults.Journal, at func(context.Context) error) (
	verdict faults.Verdict, err error,
) {
	if err := n.send(ctx, l, j, at); err != nil {
		return verdict, err
	}
	if err := n.ready(ctx, "statefulset/stormfold-redis"); err != nil {
		return verdict, err
	}
	if err := eventually(ctx, 4*time.Minute, "Redis to have nothing to write", n.settled); err != nil {
		return verdict, err
	}
	found, err := n.incidents(ctx, l.name)
	if err != nil {
		return verdict, err
	}
	if verdict = faults.Check(j, found); verdict.Alerts != l.alerts {
		return verdict, fmt.Errorf("%d of %d alerts were accepted", verdict.Alerts, l.alerts)
	}
	return verdict, nil
}

// settled is nil when each shard was compared with Kubernetes under this master, and no group is written soon: a change
// waits for 15 s at most.
func (n *node) settled(ctx context.Context) error {
	master, err := n.master(ctx)
	if err != nil {
		return err
	}
	pods, err := n.pods(ctx, namespace, podNamed+master)
	if err != nil || len(pods) != 1 {
		return errors.Join(err, fmt.Errorf("%d pods %s", len(pods), master))
	}
	client := redis.NewClient(&redis.Options{
		Addr: pods[0].Status.PodIP + ":6379", Username: "stormfold", Password: redisPassword, DisableIdentity: true,
	})
	defer client.Close()
	info, err := client.InfoMap(ctx, "server").Result()
	if err != nil {
		return err
	}
	soon := fmt.Sprint(time.Now().Add(time.Minute).UnixMilli())
	for shard := range aggregator.Shards {
		under, err := client.Get(ctx, fmt.Sprintf("{sf:%02d}:server", shard)).Result()
		if err != nil {
			return err
		}
		if under != info["Server"]["run_id"] {
			return fmt.Errorf("shard %d was not compared under %s", shard, master)
		}
		due, err := client.ZCount(ctx, fmt.Sprintf("{sf:%02d}:due", shard), "-inf", soon).Result()
		if err != nil {
			return err
		}
		if due > 0 {
			return fmt.Errorf("%d groups of shard %d are due", due, shard)
		}
	}
	return nil
}

// podNamed selects a pod of a StatefulSet by its name.
const podNamed = "statefulset.kubernetes.io/pod-name="

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

// cutOff is for how long the master goes on without its replicas before it is lost.
const cutOff = 2 * time.Second

// loseMaster takes the master away with writes that no replica has, until the Sentinels have made another one the
// master.
func (n *node) loseMaster(ctx context.Context) error {
	before, err := n.master(ctx)
	if err != nil {
		return err
	}
	join, err := n.cut(ctx, before)
	if err != nil {
		return err
	}
	// Without a place to go the pod stays away, as if its node were lost.
	if _, err := n.kubectl(ctx, "cordon", nodeName); err != nil {
		return err
	}
	time.Sleep(cutOff)
	if err := n.kill(ctx, namespace, podNamed+before, "redis"); err != nil {
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
	if err := join(); err != nil {
		return err
	}
	_, err = n.kubectl(ctx, "uncordon", nodeName)
	return err
}

// cut drops what one server of Redis sends to the others, and they to it, until join is called.
func (n *node) cut(ctx context.Context, server string) (join func() error, err error) {
	pods, err := n.pods(ctx, namespace, redisPods)
	if err != nil {
		return nil, err
	}
	var one string
	var others []string
	for _, pod := range pods {
		if pod.Name == server {
			one = pod.Status.PodIP
		} else {
			others = append(others, pod.Status.PodIP)
		}
	}
	set := "{ " + strings.Join(others, ", ") + " }"
	nft := func(rules string) error {
		cmd := exec.Command(n.plan.Programs["nft"], "--file", "-")
		cmd.Stdin = strings.NewReader(rules)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, out)
		}
		return nil
	}
	return func() error { return nft("delete table inet cut\n") }, nft(fmt.Sprintf(`table inet cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr %[1]s ip daddr %[2]s drop
    ip saddr %[2]s ip daddr %[1]s drop
  }
}
`, one, set))
}
