package subject

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of all alerts of both distributions, exactly these are about the control plane.
func TestControlPlaneOfTheDistributions(t *testing.T) {
	content, err := os.ReadFile("testdata/alerts.tsv")
	require.NoError(t, err)
	kinds := map[string]map[bool]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(content)), "\n")[1:] {
		fields := strings.Split(line, "\t")
		r := Rules(nil).Read(labelsOf("alertname=" + fields[0] + "," + fields[2]))
		if kinds[fields[0]] == nil {
			kinds[fields[0]] = map[bool]bool{}
		}
		kinds[fields[0]][r.Value(LabelControlPlane) == "true"] = true
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		require.Len(t, kinds[name], 1, "%s is the same in both distributions", name)
		if kinds[name][true] {
			got = append(got, name)
		}
	}
	require.Equal(t, []string{
		"KubeAPIDown", "KubeAPIErrorBudgetBurn", "KubeAPIInstanceUnreachable", "KubeAPITerminatedRequests",
		"KubeAggregatedAPIDown",
		"KubeAggregatedAPIErrors", "KubeClientCertificateExpiration", "KubeClientErrors", "KubeControllerManagerDown",
		"KubeControllerManagerInstanceUnreachable", "KubeSchedulerDown", "KubeSchedulerInstanceUnreachable",
		"etcdDatabaseHighFragmentationRatio", "etcdDatabaseQuotaLowSpace", "etcdExcessiveDatabaseGrowth",
		"etcdGRPCRequestsSlow",
		"etcdHighCommitDurations", "etcdHighFsyncDurations", "etcdHighNumberOfFailedGRPCRequests",
		"etcdHighNumberOfFailedProposals",
		"etcdHighNumberOfLeaderChanges", "etcdInsufficientMembers", "etcdMemberCommunicationSlow", "etcdMembersDown",
		"etcdNoLeader",
	}, got)
}

func TestControlPlane(t *testing.T) {
	for labels, want := range map[string]string{
		"job=mon-kube-etcd":                                                               "true",
		"job=kubernetes-apiservers":                                                       "true",
		"service=mon-kube-scheduler":                                                      "true",
		"alertname=TargetDown,job=apiserver":                                              "true",
		"alertname=etcdMembersDown,job=etcd,namespace=kube-system":                        "true",
		"alertname=etcdMembersDown,job=etcd,namespace=shop":                               "",
		"alertname=etcdNoLeader,job=shop-etcd,namespace=shop,pod=etcd-0":                  "",
		"alertname=etcdNoLeader":                                                          "true",
		"alertname=KubeClientErrors,job=kubelet,instance=n1:10250":                        "true",
		ksm + "namespace=kube-system,pod=kube-apiserver-cp-1":                             "true",
		ksm + "namespace=kube-system,pod=etcd-cp-1":                                       "true",
		ksm + "namespace=kube-system,pod=coredns-1":                                       "",
		ksm + "namespace=shop,pod=etcd-1":                                                 "",
		"job=openshift-apiserver,namespace=shop":                                          "",
		"alertname=KubePodNotReady,namespace=shop,pod=a":                                  "",
		"alertname=KubeClientErrors,job=proxy,namespace=kube-system,pod=kube-proxy-x2k8v": "true",
		"control_plane=true":                                                              "",
		"":                                                                                "",
	} {
		r := Rules(nil).Read(labelsOf(labels))
		require.Equal(t, want, r.Value(LabelControlPlane), labels)
	}
}
