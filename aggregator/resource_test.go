package aggregator

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResourceOf(t *testing.T) {
	const ksm = "job=kube-state-metrics,instance=10.0.0.9:8080,service=kube-state-metrics,endpoint=http,"
	for _, c := range []struct {
		name, labels string
		want         Resource
	}{
		{"a pod", "namespace=shop,pod=cart-1,deployment=cart,node=n1", Resource{"Pod", "shop", "cart-1"}},
		{"a pod behind an exporter", "namespace=monitoring,pod=ksm-1,exported_namespace=shop,exported_pod=cart-1", Resource{"Pod", "shop", "cart-1"}},
		{"a job", "namespace=shop,job_name=report-1,cronjob=report", Resource{"Job", "shop", "report-1"}},
		{"a cron job", "namespace=shop,cronjob=report", Resource{"CronJob", "shop", "report"}},
		{"a deployment", "namespace=shop,deployment=cart,statefulset=db", Resource{"Deployment", "shop", "cart"}},
		{"a stateful set", "namespace=shop,statefulset=db,daemonset=agent", Resource{"StatefulSet", "shop", "db"}},
		{"a daemon set", "namespace=shop,daemonset=agent,replicaset=cart-1", Resource{"DaemonSet", "shop", "agent"}},
		{"a replica set", "namespace=shop,replicaset=cart-1,persistentvolumeclaim=data", Resource{"ReplicaSet", "shop", "cart-1"}},
		{"a claim", "namespace=shop,persistentvolumeclaim=data,node=n1", Resource{"PersistentVolumeClaim", "shop", "data"}},
		{"a volume", ksm + "persistentvolume=pv-1", Resource{"PersistentVolume", "", "pv-1"}},
		{"an autoscaler", "namespace=shop,horizontalpodautoscaler=cart,node=n1", Resource{"HorizontalPodAutoscaler", "shop", "cart"}},
		{"a node, which lives in no namespace", "namespace=monitoring,node=n1,instance=n1:9100", Resource{"Node", "", "n1"}},
		{"a node behind an exporter", "node=n2,exported_node=n1", Resource{"Node", "", "n1"}},
		{"a namespace", "namespace=shop,service=cart,instance=10.0.0.1:80", Resource{"Namespace", "", "shop"}},
		{"a namespace behind an exporter", "namespace=monitoring,exported_namespace=shop", Resource{"Namespace", "", "shop"}},
		{"a service", "service=cart,instance=10.0.0.1:80", Resource{"Service", "", "cart"}},
		{"an instance", "job=node,instance=10.0.0.1:9100", Resource{"Instance", "", "10.0.0.1:9100"}},
		{"nothing", "alertname=Watchdog", Resource{"Alert", "", "Watchdog"}},
		{"nothing at all", "", Resource{"Alert", "", ""}},
		{"a pod by kube-state-metrics", ksm + "namespace=shop,pod=cart-1,container=cart", Resource{"Pod", "shop", "cart-1"}},
		{"a node by kube-state-metrics", ksm + "node=n1", Resource{"Node", "", "n1"}},
		{"kube-state-metrics names nothing", ksm + "alertname=KubeVersionMismatch", Resource{"Alert", "", "KubeVersionMismatch"}},
		{"kube-state-metrics without honorLabels", ksm + "namespace=monitoring,pod=ksm-1,exported_namespace=shop,deployment=cart",
			Resource{"Deployment", "shop", "cart"}},
		{"the object of an Event", "involved_kind=Certificate,involved_name=tls,namespace=shop,pod=x", Resource{"Certificate", "shop", "tls"}},
		{"half an Event's object", "involved_kind=Certificate,pod=x", Resource{"Pod", "", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, ResourceOf(labelsOf(c.labels))) })
	}
}

func TestWorkload(t *testing.T) {
	for labels, want := range map[string]string{
		"pod=web-7d9c6b8f4d-x2k8v":                  "Deployment/web",
		"pod=my-web-app-5d69f744-zz2zz":             "Deployment/my-web-app",
		"pod=web-7d9c6b8-x2k8v":                     "DaemonSet/web-7d9c6b8",
		"pod=web-7d9c6b8f4d5-x2k8v":                 "DaemonSet/web-7d9c6b8f4d5",
		"pod=backup-28912345-x2k8v":                 "CronJob/backup",
		"pod=node-exporter-x2k8v":                   "DaemonSet/node-exporter",
		"pod=db-0":                                  "StatefulSet/db",
		"pod=db-10013":                              "StatefulSet/db",
		"pod=db-1234567":                            "",
		"pod=standalone":                            "",
		"pod=kube-proxy-audit":                      "",
		"pod=-0":                                    "",
		"pod=db-":                                   "",
		"pod=7d9c6b8f4d-x2k8v":                      "DaemonSet/7d9c6b8f4d",
		"pod=web-7d9c6b8f4d-x2k8v,deployment=other": "Deployment/other",
		"pod=db-0,statefulset=pg":                   "StatefulSet/pg",
		"pod=a-x2k8v,daemonset=agent":               "DaemonSet/agent",
		"pod=a-x2k8v,job_name=report":               "Job/report",
		"cronjob=report":                            "CronJob/report",
		"replicaset=web-7d9c6b8f4d":                 "ReplicaSet/web-7d9c6b8f4d",
		"node=n1":                                   "",
		"pod=exporter-0,exported_pod=web-7d9c6b8f4d-x2k8v":   "Deployment/web",
		"namespace=shop,alertname=KubeQuotaAlmostFull":       "",
		"involved_kind=StatefulSet,involved_name=db":         "StatefulSet/db",
		"involved_kind=Certificate,involved_name=tls,pod=x":  "",
		"persistentvolumeclaim=data-db-0,namespace=database": "",
	} {
		require.Equal(t, want, Workload(labelsOf(labels)), labels)
	}
}

func TestSeverityRank(t *testing.T) {
	order := []string{"page me", "none", "info", "warning", "error", "critical"}
	for i, s := range order {
		require.Equal(t, i, SeverityRank(s), s)
		require.Equal(t, i, SeverityRank(strings.ToUpper(s)), s)
	}
	require.Zero(t, SeverityRank(""))
}

// FuzzResource: whatever the labels are, the resource is one of them, and a workload has kind and name.
func FuzzResource(f *testing.F) {
	f.Add("pod=web-7d9c6b8f4d-x2k8v,namespace=shop")
	f.Add("job=kube-state-metrics,service=x,instance=y")
	f.Add("involved_kind=A,involved_name=b,exported_namespace=c")
	f.Add("pod=-,node=n")
	f.Fuzz(func(t *testing.T, text string) {
		labels := labelsOf(text)
		r := ResourceOf(labels)
		require.NotEmpty(t, r.Kind)
		has := func(v string) bool {
			for _, value := range labels {
				if value == v {
					return true
				}
			}
			return v == ""
		}
		require.True(t, has(r.Name) && has(r.Namespace))
		if r.Kind != "Alert" {
			require.NotEmpty(t, r.Name)
		}
		for _, w := range []string{Workload(labels), r.Workload()} {
			if w != "" {
				kind, name, ok := strings.Cut(w, "/")
				require.True(t, ok && kind != "" && name != "", w)
			}
		}
	})
}

// labelsOf reads name=value,name=value.
func labelsOf(s string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			out[name] = value
		}
	}
	return out
}
