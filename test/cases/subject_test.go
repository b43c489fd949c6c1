package cases

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
)

const (
	stateMetrics = " job=kube-state-metrics container=kube-state-metrics endpoint=http service=obs-kube-state-metrics" +
		" instance=10.9.8.7:8080 pod=obs-kube-state-metrics-7c9d6b5f4d-q2w4z prometheus=obs/obs severity=warning"
	nodeExporter = " job=node-exporter container=node-exporter endpoint=http-metrics service=obs-node-exporter namespace=obs" +
		" prometheus=obs/obs severity=warning device=/dev/vdb1 mountpoint=/data fstype=xfs"
)

// An alert is about the object of its series, never about the exporter that was scraped; the hotspots are
// neither.
func TestCaseTheExporterIsNotTheSubject(t *testing.T) {
	for name, c := range map[string]struct{ alerts, want []string }{
		"Deployments": {
			[]string{
				"alertname=KubeDeploymentReplicasMismatch namespace=a deployment=web" + stateMetrics,
				"alertname=KubeDeploymentReplicasMismatch namespace=a deployment=api" + stateMetrics,
				"alertname=KubeDeploymentReplicasMismatch namespace=a deployment=worker" + stateMetrics,
				"alertname=KubeDeploymentReplicasMismatch namespace=b deployment=web" + stateMetrics,
				"alertname=KubeDeploymentReplicasMismatch namespace=b deployment=api" + stateMetrics,
				"alertname=KubeDeploymentReplicasMismatch namespace=b deployment=worker" + stateMetrics,
			},
			[]string{
				"Deployment a/api", "Deployment a/web", "Deployment a/worker",
				"Deployment b/api", "Deployment b/web", "Deployment b/worker",
			},
		},
		"a quota": {
			[]string{"alertname=KubeQuotaExceeded namespace=team resource=pods resourcequota=compute" + stateMetrics},
			[]string{"ResourceQuota team/compute"},
		},
		"a Job": {
			[]string{"alertname=KubeJobFailed namespace=jobs job_name=backup-28999100 condition=true" + stateMetrics},
			[]string{"Job jobs/backup-28999100"},
		},
		"nodes": {
			[]string{
				"alertname=KubeNodeNotReady namespace=obs node=kiln-1 condition=Ready status=true" + stateMetrics,
				"alertname=KubeNodeNotReady namespace=obs node=kiln-2 condition=Ready status=true" + stateMetrics,
			},
			[]string{"Node /kiln-1", "Node /kiln-2"},
		},
		"what else there is": {
			[]string{
				"alertname=KubeHpaMaxedOut namespace=a horizontalpodautoscaler=web" + stateMetrics,
				"alertname=KubeStatefulSetReplicasMismatch namespace=a statefulset=db" + stateMetrics,
				"alertname=KubeDaemonSetRolloutStuck namespace=kube-system daemonset=net" + stateMetrics,
				"alertname=KubePersistentVolumeClaimPending namespace=a persistentvolumeclaim=data-db-0" + stateMetrics,
			},
			[]string{
				"DaemonSet kube-system/net", "HorizontalPodAutoscaler a/web", "PersistentVolumeClaim a/data-db-0",
				"StatefulSet a/db",
			},
		},
		"nodes by their address": {
			[]string{
				"alertname=NodeFilesystemSpaceFillingUp instance=192.168.40.11:9100 pod=obs-node-exporter-x4x4x" + nodeExporter,
				"alertname=NodeFilesystemSpaceFillingUp instance=192.168.40.12:9100 pod=obs-node-exporter-y5y5y" + nodeExporter,
			},
			[]string{"Node /192.168.40.11", "Node /192.168.40.12"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var all []string
			for _, text := range c.alerts {
				all = append(all, fires(text, 0))
			}
			// Under the built-in policies, and as one storm, which has hotspots.
			storm := policies(t, "policies: [{name: all, groupBy: [], threshold: 1}]")
			for _, p := range []config.Policies{config.Default(), storm} {
				o := play(t, p, sent(0, all...))
				require.Equal(t, c.want, o.resources())
				for _, i := range o.written {
					for _, h := range i.Status.Hotspots {
						require.NotContains(t, h.Value, "obs", h.Label)
					}
				}
			}
		})
	}
}

// Both of a pair of Prometheus servers send an alert.
func TestCaseReplicasOfPrometheus(t *testing.T) {
	const alert = "alertname=ErrorRatio cluster=c1 namespace=shop service=web severity=critical"
	one, other := alert+" prometheus_replica=a", alert+" prometheus_replica=b"
	o := play(t, config.Default(),
		sent(0, fires(one, 0), fires(other, 0)),
		sent(5*time.Minute, ended(one, 0, 4*time.Minute), fires(other, 0)),
		sent(10*time.Minute, ended(one, 0, 4*time.Minute), ended(other, 0, 9*time.Minute)))
	i := o.only(t)
	require.EqualValues(t, 1, i.Status.Alerts.Total)
	require.Zero(t, i.Status.Reopened)
	require.Equal(t, 10*time.Minute, endedAt(i), "it fires while either says so")
}

// kube-state-metrics is replaced while two Deployments lack replicas: the same alerts come from another pod a quarter
// of an hour later.
func TestCaseTheExporterIsReplaced(t *testing.T) {
	alerts := func(exporter string) (out [2]string) {
		for n, name := range []string{"web", "api"} {
			out[n] = "alertname=KubeDeploymentReplicasMismatch namespace=shop job=kube-state-metrics severity=warning" +
				" service=ksm deployment=" + name + " pod=ksm-7c9d6b5f4d-" + exporter
		}
		return out
	}
	before, after := alerts("q2w4z"), alerts("z8x6v")
	o := play(
		t,
		config.Default(),
		sent(0, fires(before[0], 0), fires(before[1], 0)),
		sent(20*time.Minute, ended(before[0], 0, 19*time.Minute), ended(before[1], 0, 19*time.Minute)),
		sent(35*time.Minute, fires(after[0], 34*time.Minute), fires(after[1], 34*time.Minute)),
		sent(
			50*time.Minute,
			ended(after[0], 34*time.Minute, 49*time.Minute),
			ended(after[1], 34*time.Minute, 49*time.Minute),
		),
	)
	require.Len(t, o.incidents, 2)
	for _, i := range o.incidents {
		require.EqualValues(t, 1, i.Status.Alerts.Total)
		require.EqualValues(t, 1, i.Status.Reopened)
		require.Equal(t, "AllResolved", reason(i))
	}
}

// Labels with dots in their names, as OpenTelemetry has them, can be matched, grouped by, and name what an alert is
// about.
func TestCaseNamesWithDots(t *testing.T) {
	var all []string
	for _, namespace := range []string{"shop", "bank"} {
		for pod, service := range map[string]string{
			"web-6f7d8c9b5d-2b4d6": "web", "web-6f7d8c9b5d-7h9k2": "web", "web-6f7d8c9b5d-m4n6p": "api",
		} {
			all = append(all, fires("alertname=QueueLag k8s.cluster.name=c1 k8s.namespace.name="+namespace+" k8s.pod.name="+pod+
				" service.name="+service+" größe=5 severity=critical", 0))
		}
	}
	p := policies(t, `
policies:
  - name: dotted
    match: ['"k8s.cluster.name"="c1"', '"größe"=~"[0-9]+"']
    groupBy: [k8s.namespace.name, alertname]
    threshold: 3
    breakdown: [service.name]
  - name: default
`)
	o := play(t, p, sent(0, all...))
	require.Len(t, o.kept(), 2)
	for _, i := range o.kept() {
		require.Equal(t, "dotted", i.Spec.Policy)
		require.EqualValues(t, 3, i.Status.Alerts.Total)
		require.Equal(t, []v1alpha1.Hotspot{{Label: "service.name", Value: "web", Alerts: 2, Share: 67}}, i.Status.Hotspots)
	}
	require.Equal(t, []string{
		"Pod bank/web-6f7d8c9b5d-2b4d6", "Pod bank/web-6f7d8c9b5d-7h9k2", "Pod bank/web-6f7d8c9b5d-m4n6p",
		"Pod shop/web-6f7d8c9b5d-2b4d6", "Pod shop/web-6f7d8c9b5d-7h9k2", "Pod shop/web-6f7d8c9b5d-m4n6p",
	}, o.resources())
}

// Words that many teams use rank above warning.
func TestCaseWordsForSeverity(t *testing.T) {
	for _, word := range []string{"page", "P1", "high"} {
		t.Run(word, func(t *testing.T) {
			o := play(t, policies(t, "policies: [{name: all, groupBy: [alertname], threshold: 1}]"), sent(0,
				fires("alertname=A i=0 severity=warning", 0), fires("alertname=A i=1 severity="+word, 0),
				fires("alertname=A i=2 severity=info", 0), fires("alertname=A i=3 severity=none", 0)))
			require.Equal(t, word, o.only(t).Status.Severity)
		})
	}
}
