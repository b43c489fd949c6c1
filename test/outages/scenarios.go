package main

import (
	"time"
)

// scenarios are the recordings of the project's own.
var scenarios = []struct {
	name string
	play func(s *stage)
}{
	{"node-dies", func(s *stage) {
		s.noise()
		s.nodeDies(time.Hour, 2*time.Hour+6*time.Minute)
		s.state("node", s.nodeIsMissed, time.Hour, 2*time.Hour+6*time.Minute)
	}},
	{"rollout-stuck", func(s *stage) {
		s.noise()
		s.root("rollout", stuck, false)
		s.state("rollout", s.rollout, time.Hour, 100*time.Minute)
	}},
	// kube-state-metrics is rescheduled while a node is down and a rollout hangs.
	{"exporter-moved", func(s *stage) {
		s.noise()
		s.root("rollout", stuck, false)
		moved := 105 * time.Minute
		s.nodeDies(time.Hour, 3*time.Hour)
		s.state("node", s.nodeIsMissed, time.Hour, moved)
		s.state("rollout", s.rollout, 70*time.Minute, moved)
		s.exporter = s.add(s.distribution.exporter, nodeName(4), 1, "a")
		s.state("node", s.nodeIsMissed, moved+16*time.Minute, 3*time.Hour)
		s.state("rollout", s.rollout, moved+16*time.Minute, 200*time.Minute)
	}},
	// Prometheus is away for 20 minutes while a node is down and a rollout hangs.
	{"prometheus-gone", func(s *stage) {
		s.silent = span{epoch.Add(105 * time.Minute), epoch.Add(125 * time.Minute)}
		s.noise()
		s.root("rollout", stuck, false)
		s.nodeDies(time.Hour, 3*time.Hour)
		s.state("node", s.nodeIsMissed, time.Hour, 3*time.Hour)
		s.state("rollout", s.rollout, 70*time.Minute, 200*time.Minute)
	}},
	// A worker crashes, runs for a while, and crashes again.
	{"flapping", func(s *stage) {
		s.noise()
		worker := s.podsOf(object{"Deployment", "billing", "billing-worker"})[2]
		s.root("worker", worker, false)
		for at := time.Hour; at < 3*time.Hour; at += 20 * time.Minute {
			s.fire("worker", worker, s.crashing(worker, "worker"), at, at+9*time.Minute)
		}
	}},
}

// down is the node that dies, stuck the rollout that never completes.
var (
	down  = object{Kind: "Node", Name: nodeName(2)}
	stuck = object{"Deployment", "orders", "orders-api"}
)

// tell has an alert about an object fire, so long after a beginning.
type tell func(after time.Duration, about object, labels map[string]string)

// state has alerts fire, each so long after from.
func (s *stage) state(root string, alerts func(tell tell), from, to time.Duration) {
	alerts(func(after time.Duration, about object, labels map[string]string) {
		s.fire(root, about, labels, from+after, to)
	})
}

// nodeDies is what Prometheus itself sees of a node that is away.
func (s *stage) nodeDies(from, to time.Duration) {
	s.root("node", down, false)
	s.fire("node", down, s.kubeletOf(s.cluster, down.Name), from, to)
}

// nodeIsMissed is what kube-state-metrics reports about it: the node, its pods, and the workloads that miss them.
func (s *stage) nodeIsMissed(tell tell) {
	tell(20*time.Second, down, s.stateOf(s.exporter, "KubeNodeNotReady", down, "condition", "Ready", "status", "true"))
	tell(20*time.Second, down, s.stateOf(s.exporter, "KubeNodeUnreachable", down,
		"effect", "NoSchedule", "key", "node.kubernetes.io/unreachable"))
	missed := map[object]bool{}
	for _, p := range s.podsOn(down.Name) {
		tell(6*time.Second, p, s.notReady(p))
		owner := s.Pods[p.Namespace+"/"+p.Name].Owner
		if missed[owner] {
			continue
		}
		missed[owner] = true
		switch owner.Kind {
		case "DaemonSet":
			tell(36*time.Second, owner, s.stateOf(s.exporter, "KubeDaemonSetRolloutStuck", owner))
		case "StatefulSet":
			tell(36*time.Second, owner, s.stateOf(s.exporter, "KubeStatefulSetReplicasMismatch", owner))
		}
	}
}

// rollout gives a Deployment a version that does not run.
func (s *stage) rollout(tell tell) {
	for n := range 4 {
		p := s.add(stuck, nodeName(3+n%2), n, "b")
		tell(time.Duration(n)*30*time.Second, p, s.crashing(p, "api"))
		tell(time.Minute, p, s.notReady(p))
	}
	tell(90*time.Second, stuck, s.stateOf(s.exporter, "KubeDeploymentReplicasMismatch", stuck))
	tell(10*time.Minute, stuck, s.stateOf(s.exporter, "KubeDeploymentRolloutStuck", stuck, "condition", "Progressing",
		"reason", "ProgressDeadlineExceeded", "status", "false"))
}

// crashing is an alert about a container that crashes again and again.
func (s *stage) crashing(p object, container string) map[string]string {
	return s.stateOf(s.exporter, "KubePodCrashLooping", p,
		"container", container, "reason", "CrashLoopBackOff", "uid", uid(p))
}
