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
	// A zone loses all its nodes.
	{"zone-dies", func(s *stage) {
		s.noise()
		s.root("zone", object{Kind: "Zone", Name: north}, false)
		from, to := time.Hour, 2*time.Hour+6*time.Minute
		for _, node := range s.nodesOf(north) {
			s.fire("zone", node, s.kubeletOf(s.cluster, node.Name), from, to)
		}
		s.state("zone", s.missing(s.nodesOf(north)...), from, to)
	}},
	// The cluster's DNS fails for ten minutes. No alert is about it.
	{"dns-fails", func(s *stage) {
		s.noise()
		s.root("dns", object{"Deployment", "kube-system", "coredns"}, false)
		s.state("dns", s.unready, time.Hour, 80*time.Minute)
	}},
	// etcd is slow, and what depends on it suffers.
	{"etcd-slow", func(s *stage) {
		s.noise()
		s.root("etcd", etcd, false)
		s.state("etcd", s.controlPlane, time.Hour, 100*time.Minute)
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
	etcd  = object{"Pod", "kube-system", "etcd-control-1"}
)

// north is the zone that dies. The exporter is in the other one.
const north = "north"

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

// nodeIsMissed is what kube-state-metrics reports about it.
func (s *stage) nodeIsMissed(tell tell) { s.missing(down)(tell) }

// missing is what kube-state-metrics reports about nodes that are away: the nodes, their pods, and the workloads that
// miss them.
func (s *stage) missing(nodes ...object) func(tell) {
	return func(tell tell) {
		missed := map[object]bool{}
		for _, node := range nodes {
			tell(20*time.Second, node, s.stateOf(s.exporter, "KubeNodeNotReady", node, "condition", "Ready", "status", "true"))
			tell(20*time.Second, node, s.stateOf(s.exporter, "KubeNodeUnreachable", node,
				"effect", "NoSchedule", "key", "node.kubernetes.io/unreachable"))
			for _, p := range s.podsOn(node.Name) {
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
	}
}

// unready has the first pods of every workload fail their readiness probes.
func (s *stage) unready(tell tell) {
	for n, w := range workloads {
		for _, p := range s.podsOf(w.object)[:2] {
			tell(time.Duration(n)*5*time.Second, p, s.notReady(p))
		}
	}
}

// controlPlane is what etcd and those that use it report.
func (s *stage) controlPlane(tell tell) {
	slow := s.labelsOf("etcdHighFsyncDurations", "warning")
	slow["job"], slow["namespace"], slow["pod"], slow["instance"] = "kube-etcd", etcd.Namespace, etcd.Name, "192.168.40.2:2381"
	tell(0, etcd, slow)
	leader := s.labelsOf("etcdHighNumberOfLeaderChanges", "warning")
	leader["job"], leader["namespace"] = "kube-etcd", etcd.Namespace
	tell(3*time.Minute, object{"Service", etcd.Namespace, "kube-etcd"}, leader)
	burn := s.labelsOf("KubeAPIErrorBudgetBurn", "critical")
	burn["long"], burn["short"] = "1h", "5m"
	tell(2*time.Minute, object{Kind: "Cluster"}, burn)
	for n, component := range []string{"kube-scheduler", "kube-controller-manager"} {
		p := object{"Pod", "kube-system", component + "-control-1"}
		tell(time.Duration(6+n)*time.Minute, p, s.notReady(p))
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
