package subject

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ksm = "job=kube-state-metrics,instance=10.0.0.9:8080,service=kube-state-metrics,endpoint=http,container=kube-state-metrics,"

func TestSubject(t *testing.T) {
	for _, c := range []struct {
		name, labels string
		want         Resource
	}{
		{"a pod", "namespace=shop,pod=cart-1,deployment=cart,node=n1", Resource{"Pod", "shop", "cart-1"}},
		{"a pod behind an exporter", "namespace=monitoring,pod=e-1,exported_namespace=shop,exported_pod=cart-1",
			Resource{"Pod", "shop", "cart-1"}},
		{"a job", "namespace=shop,job_name=report-1,cronjob=report", Resource{"Job", "shop", "report-1"}},
		{"a cron job", "namespace=shop,cronjob=report", Resource{"CronJob", "shop", "report"}},
		{"a deployment", "namespace=shop,deployment=cart,statefulset=db", Resource{"Deployment", "shop", "cart"}},
		{"a replica set", "namespace=shop,replicaset=cart-1,persistentvolumeclaim=data", Resource{"ReplicaSet", "shop",
			"cart-1"}},
		{"a claim", "namespace=shop,persistentvolumeclaim=data,node=n1", Resource{"PersistentVolumeClaim", "shop", "data"}},
		{"a volume", ksm + "persistentvolume=pv-1,namespace=monitoring", Resource{"PersistentVolume", "", "pv-1"}},
		{"an autoscaler", "namespace=shop,horizontalpodautoscaler=cart,node=n1", Resource{"HorizontalPodAutoscaler", "shop",
			"cart"}},
		{"a node, which lives in no namespace", "namespace=monitoring,node=n1,instance=n1:9100", Resource{"Node", "", "n1"}},
		{"a node behind an exporter", "node=n2,exported_node=n1", Resource{"Node", "", "n1"}},
		{"a node by its address", "job=node-exporter,instance=[fd00::1]:9100", Resource{"Node", "", "fd00::1"}},
		{"a node by its bare address", "job=node,instance=fd00::1", Resource{"Node", "", "fd00::1"}},
		{"a kubelet without a node label", "job=kubelet,instance=n1:10250,namespace=kube-system", Resource{"Node", "", "n1"}},
		{"all of node-exporter", "job=node-exporter,namespace=monitoring,service=node-exporter", Resource{"Service",
			"monitoring", "node-exporter"}},
		{"node-exporter's own pod", "namespace=monitoring,pod=node-exporter-x2k8v,container=node-exporter", Resource{"Pod",
			"monitoring", "node-exporter-x2k8v"}},
		{"a namespace", "namespace=shop", Resource{"Namespace", "", "shop"}},
		{"a namespace behind an exporter", "namespace=monitoring,exported_namespace=shop,pod=e-1,service=e",
			Resource{"Namespace", "", "shop"}},
		{"a service and its namespace", "namespace=shop,service=cart", Resource{"Service", "shop", "cart"}},
		{"a service behind an exporter", "namespace=ingress,pod=i-1,exported_namespace=shop,exported_service=cart",
			Resource{"Service", "shop", "cart"}},
		{"a job of Prometheus", "namespace=shop,job=cart", Resource{"Service", "shop", "cart"}},
		{"an instance", "job=blackbox,instance=https://example.com,namespace=shop", Resource{Instance, "shop",
			"https://example.com"}},
		{"an API server", "job=apiserver,instance=10.0.0.1:6443,service=kubernetes,namespace=default", Resource{Endpoint,
			"default", "10.0.0.1:6443"}},
		{"a recorded workload", "namespace=shop,workload=cart,workload_type=deployment", Resource{"Deployment", "shop",
			"cart"}},
		{"the cluster", "alertname=KubeSchedulerDown,job=kube-scheduler", Resource{Cluster, "", ""}},
		{"nothing", "alertname=Watchdog", Resource{Alert, "", "Watchdog"}},
		{"nothing at all", "", Resource{Alert, "", ""}},
		{"a pod by kube-state-metrics", ksm + "namespace=shop,pod=cart-1", Resource{"Pod", "shop", "cart-1"}},
		{"kube-state-metrics' own pod", ksm + "namespace=monitoring,pod=kube-state-metrics-1,uid=1", Resource{"Pod",
			"monitoring", "kube-state-metrics-1"}},
		{"and that without labels of the target", "job=kube-state-metrics,namespace=monitoring,pod=kube-state-metrics-1",
			Resource{"Pod", "monitoring", "kube-state-metrics-1"}},
		{"a namespace by kube-state-metrics", ksm + "namespace=shop,pod=kube-state-metrics-1", Resource{"Namespace", "",
			"shop"}},
		{"a service by kube-state-metrics",
			"job=kube-state-metrics,endpoint=http,namespace=shop,pod=kube-state-metrics-1,service=cart", Resource{"Service",
				"shop", "cart"}},
		{"an ingress by kube-state-metrics", ksm + "namespace=shop,pod=kube-state-metrics-1,ingress=cart", Resource{"Ingress",
			"shop", "cart"}},
		{"a node by kube-state-metrics", ksm + "node=n1,namespace=monitoring,pod=kube-state-metrics-1", Resource{"Node", "",
			"n1"}},
		{"a release of kube-state-metrics",
			"job=kube-state-metrics,service=mon-ksm,pod=mon-ksm-6f664bc8c4-x7k2p,namespace=mon,node=n1", Resource{"Node", "",
				"n1"}},
		{"kube-state-metrics names nothing", ksm + "alertname=KubeVersionMismatch", Resource{Cluster, "", ""}},
		{"kube-state-metrics without honorLabels", ksm +
			"namespace=monitoring,pod=ksm-1,exported_namespace=shop,deployment=cart", Resource{"Deployment", "shop", "cart"}},
		{"a container of kube-state-metrics by cAdvisor",
			"service=kubelet,namespace=mon,pod=kube-state-metrics-1,container=kube-state-metrics",
			Resource{"Pod", "mon", "kube-state-metrics-1"}},
		{"OpenTelemetry", "k8s.namespace.name=shop,k8s.pod.name=cart-1,k8s.node.name=n1,pod=collector-1,namespace=otel",
			Resource{"Pod", "shop", "cart-1"}},
		{"OpenTelemetry's deployment", "k8s.namespace.name=shop,k8s.deployment.name=cart", Resource{"Deployment", "shop",
			"cart"}},
		{"OpenTelemetry's node, escaped", "k8s_node_name=n1", Resource{"Node", "", "n1"}},
		{"OpenTelemetry's namespace", "k8s.namespace.name=shop,service.name=cart", Resource{"Namespace", "", "shop"}},
		{"the object of an Event", "involved_kind=Certificate,involved_name=tls,namespace=shop,pod=x", Resource{"Certificate",
			"shop", "tls"}},
		{"half an Event's object", "involved_kind=Certificate,pod=x", Resource{"Pod", "", "x"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, Rules(nil).Read(labelsOf(c.labels)).Subject) })
	}
}

func TestDerivedLabels(t *testing.T) {
	value := func(labels, name string) string {
		r := Rules(nil).Read(labelsOf(labels))
		return r.Value(name)
	}
	pod := ksm + "namespace=shop,pod=checkout-7d9f8b6c5d-4k7sm"
	require.Equal(t, "Deployment/checkout", value(pod, LabelWorkload))
	require.Equal(
		t,
		"Deployment/checkout",
		value(ksm+"namespace=shop,deployment=checkout,pod=kube-state-metrics-1", LabelWorkload),
	)
	require.Equal(t, "Pod", value(pod, LabelKind))
	require.Equal(t, "checkout-7d9f8b6c5d-4k7sm", value(pod, LabelName))
	require.Equal(
		t,
		"worker-1",
		value("job=node-exporter,instance=worker-1,namespace=monitoring,pod=node-exporter-x2k8v", LabelNode),
	)
	require.Empty(
		t,
		value("job=node-exporter,instance=worker-1,namespace=monitoring,pod=node-exporter-x2k8v", LabelNamespace),
	)
	require.Empty(t, value("job=node-exporter,instance=worker-1,pod=node-exporter-x2k8v", LabelWorkload))
	require.Equal(t, "n1", value("job=kubelet,namespace=shop,pod=cart-1,node=n1", LabelNode))
	require.Empty(
		t,
		value(ksm+"namespace=shop,deployment=cart,pod=kube-state-metrics-1,node=n1", LabelNode),
		"the exporter runs there",
	)
	require.Equal(t, "shop", value("namespace=monitoring,exported_namespace=shop,exported_pod=a", LabelNamespace))
	require.Equal(t, "shop", value("namespace=shop", LabelNamespace))
	require.Equal(t, "c1", value("k8s.cluster.name=c1", "cluster"))
	require.Equal(t, "red", value("namespace=shop,team=red", "team"))
	require.Empty(t, value("namespace=shop", "team"))
}

func TestWorkload(t *testing.T) {
	for labels, want := range map[string]string{
		"pod=web-7d9c6b8f4d-x2k8v":                                  "Deployment/web",
		"pod=my-web-app-5d69f744-zz2zz":                             "Deployment/my-web-app",
		"pod=web-7d9c6b8-x2k8v":                                     "DaemonSet/web-7d9c6b8",
		"pod=web-7d9c6b8f4d5-x2k8v":                                 "DaemonSet/web-7d9c6b8f4d5",
		"pod=backup-28912345-x2k8v":                                 "CronJob/backup",
		"pod=node-exporter-x2k8v":                                   "DaemonSet/node-exporter",
		"pod=db-0":                                                  "StatefulSet/db",
		"pod=db-10013":                                              "StatefulSet/db",
		"pod=db-1234567":                                            "",
		"pod=standalone":                                            "",
		"pod=kube-proxy-audit":                                      "",
		"pod=-0":                                                    "",
		"pod=db-":                                                   "",
		"pod=7d9c6b8f4d-x2k8v":                                      "DaemonSet/7d9c6b8f4d",
		"pod=web-7d9c6b8f4d-x2k8v,deployment=other":                 "Deployment/other",
		"pod=db-0,statefulset=pg":                                   "StatefulSet/pg",
		"pod=a-x2k8v,daemonset=agent":                               "DaemonSet/agent",
		"pod=a-x2k8v,job_name=report":                               "Job/report",
		"job_name=nightly-29737380":                                 "CronJob/nightly",
		"cronjob=report":                                            "CronJob/report",
		"replicaset=web-7d9c6b8f4d":                                 "Deployment/web",
		"replicaset=web":                                            "ReplicaSet/web",
		"poddisruptionbudget=web":                                   "Deployment/web",
		"horizontalpodautoscaler=web":                               "",
		"node=n1":                                                   "",
		"node=n1,workload=x":                                        "",
		"namespace=shop,workload=x":                                 "x",
		"pod=exporter-0,exported_pod=web-7d9c6b8f4d-x2k8v":          "Deployment/web",
		"k8s.pod.name=x,k8s.statefulset.name=db":                    "StatefulSet/db",
		"namespace=shop,alertname=KubeQuotaAlmostFull":              "",
		"involved_kind=StatefulSet,involved_name=db":                "StatefulSet/db",
		"involved_kind=Certificate,involved_name=tls,pod=x":         "",
		"persistentvolumeclaim=data-db-0,namespace=database":        "",
		"alertname=PrometheusOperatorNotReady,namespace=monitoring": "",
		"horizontalpodautoscaler=web,scaletargetref_kind=Deployment,scaletargetref_name=api": "Deployment/api",
	} {
		require.Equal(t, want, Rules(nil).Read(labelsOf(labels)).Workload, labels)
	}
}

func TestIdentity(t *testing.T) {
	const sent = "0123456789abcdef"
	identity := func(labels string) string {
		r := Rules(nil).Read(labelsOf(labels))
		return r.Identity(sent)
	}
	same := func(a, b string) {
		t.Helper()
		require.NotEqual(t, sent, identity(a))
		require.Equal(t, identity(a), identity(b))
	}
	other := func(a, b string) {
		t.Helper()
		require.NotEqual(t, sent, identity(a))
		require.NotEqual(t, identity(a), identity(b))
	}
	moved := strings.Replace(ksm, "10.0.0.9", "10.0.0.77", 1)
	same(
		ksm+"namespace=shop,deployment=cart,pod=kube-state-metrics-1",
		moved+"namespace=shop,deployment=cart,pod=kube-state-metrics-2",
	)
	same(ksm+"node=n1,namespace=mon,pod=kube-state-metrics-1", moved+"node=n1,namespace=mon,pod=kube-state-metrics-2")
	same(ksm+"namespace=shop,pod=cart-1", moved+"namespace=shop,pod=cart-1")
	other(ksm+"namespace=shop,pod=cart-1", ksm+"namespace=shop,pod=cart-2")
	other(
		ksm+"namespace=shop,deployment=cart,pod=kube-state-metrics-1",
		ksm+"namespace=shop,deployment=web,pod=kube-state-metrics-1",
	)
	other(ksm+"node=n1,pod=kube-state-metrics-1", ksm+"node=n2,pod=kube-state-metrics-1")
	same(
		"job=node-exporter,instance=10.0.0.1:9100,pod=node-exporter-a",
		"job=node-exporter,instance=10.0.0.1:9100,pod=node-exporter-b",
	)
	other(
		"job=node-exporter,instance=10.0.0.1:9100,pod=node-exporter-a",
		"job=node-exporter,instance=10.0.0.2:9100,pod=node-exporter-a",
	)
	same(
		"job=kubelet,namespace=shop,pod=db-0,node=n1,instance=n1:10250",
		"job=kubelet,namespace=shop,pod=db-0,node=n2,instance=n2:10250",
	)
	other("job=kubelet,node=n1,instance=n1:10250", "job=kubelet,node=n2,instance=n2:10250")
	same("alertname=A,prometheus_replica=0", "alertname=A,prometheus_replica=1")
	same("alertname=A,rule_replica=0", "alertname=A,rule_replica=1")
	require.Equal(
		t,
		sent,
		identity("namespace=shop,pod=prometheus-0,instance=10.0.0.1:9090,job=prometheus"),
		"it reports on itself",
	)
	require.Equal(t, sent, identity("alertname=A,namespace=shop,replica=1"), "a replica may be the subject's own")
	require.Equal(t, sent, identity("prometheus_replica=0"), "nothing would be left")
}

func TestRules(t *testing.T) {
	matcher, err := labels.NewMatcher(labels.MatchEqual, "job", "ceph")
	require.NoError(t, err)
	agent, err := labels.NewMatcher(labels.MatchEqual, "job", "agent")
	require.NoError(t, err)
	rules := Rules{
		{
			Matchers:  labels.Matchers{matcher},
			Kind:      "CephPool",
			Name:      "pool",
			Namespace: "rook",
			Target:    []string{"pod", "instance"},
		},
		{Matchers: labels.Matchers{agent}, Target: []string{"pod", "namespace"}},
	}
	r := rules.Read(labelsOf("job=ceph,pool=p1,rook=storage,pod=mgr-a,instance=x,namespace=rook,prometheus_replica=1"))
	require.Equal(t, Resource{"CephPool", "storage", "p1"}, r.Subject)
	require.Equal(t, "storage", r.Namespace)
	require.Equal(t, []string{"prometheus_replica", "pod", "instance"}, r.Target)
	require.Equal(t, "mgr-a", r.Value("pod"), "its own labels stay")

	r = rules.Read(labelsOf("job=ceph,pod=mgr-a,namespace=rook"))
	require.Equal(t, Resource{"Pod", "rook", "mgr-a"}, r.Subject, "without the name, the rule is not about it")

	r = rules.Read(labelsOf("job=agent,pod=agent-x,namespace=monitoring,deployment=cart"))
	require.Equal(t, Resource{"Deployment", "", "cart"}, r.Subject)
	require.Equal(t, []string{"pod", "namespace"}, r.Target)
}

// What is the target's has no say in what the subject is. So alerts with distinct subjects never have one identity.
func TestTheTargetDoesNotDecideTheSubject(t *testing.T) {
	names := []string{
		"alertname", "job", "service", "container", "endpoint", "namespace", "pod", "instance", "node", "uid", "deployment",
		"persistentvolumeclaim",
		"exported_namespace", "exported_pod", "exported_node", "exported_instance", "k8s.pod.name", "k8s_node_name",
		"prometheus_replica", "name", "workload",
		"workload_type", "ingress", "involved_kind", "involved_name",
	}
	values := []string{
		"", "kube-state-metrics", "kube-state-metrics-1", "node-exporter", "kubelet", "apiserver", "a", "a-1",
		"10.0.0.1:9100", "KubeX", "KubeAggregatedAPIDown",
		"deployment", "KubeStateMetricsX",
	}
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.MapOf(rapid.SampledFrom(names), rapid.SampledFrom(values)).Draw(t, "labels")
		r := Rules(nil).Read(all)
		require.NotEmpty(t, r.Subject.Kind)
		kept := map[string]string{}
		set := model.LabelSet{}
		for name, value := range all {
			if !slices.Contains(r.Target, name) {
				kept[name], set[model.LabelName(name)] = value, model.LabelValue(value)
			}
		}
		again := Rules(nil).Read(kept)
		require.Equal(t, r.Subject, again.Subject)
		require.Empty(t, again.Target)
		if len(r.Target) > 0 && len(kept) > 0 {
			require.Equal(t, set.Fingerprint().String(), r.Identity("sent"), "it is Alertmanager's fingerprint of what is kept")
		} else {
			require.Equal(t, "sent", r.Identity("sent"))
		}
	})
}

// FuzzRead: whatever the labels are, the subject's name is one of them, and a workload that is not a label's has kind
// and name.
func FuzzRead(f *testing.F) {
	f.Add("pod=web-7d9c6b8f4d-x2k8v,namespace=shop")
	f.Add("job=kube-state-metrics,service=x,instance=y")
	f.Add("involved_kind=A,involved_name=b,exported_namespace=c")
	f.Add("pod=-,node=n")
	f.Fuzz(func(t *testing.T, text string) {
		all := labelsOf(text)
		r := Rules(nil).Read(all)
		require.NotEmpty(t, r.Subject.Kind)
		has := func(v string) bool {
			for _, value := range all {
				if value == v || host(value) == v {
					return true
				}
			}
			return v == ""
		}
		require.True(t, has(r.Subject.Name) && has(r.Namespace))
		if w := r.Subject.Workload(); w != "" {
			kind, name, ok := strings.Cut(w, "/")
			require.True(t, ok && kind != "" && name != "", w)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	all := labelsOf(
		"alertname=KubePodCrashLooping,severity=warning,prometheus=monitoring/k8s,uid=1,reason=CrashLoopBackOff," + ksm +
			"namespace=shop,pod=cart-7d9f8b6c5d-4k7sm",
	)
	b.ReportAllocs()
	for b.Loop() {
		r := Rules(nil).Read(all)
		if r.Identity("0123456789abcdef") == "" {
			b.Fatal("no identity")
		}
	}
}
