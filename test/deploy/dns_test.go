package deploy

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestDNSIsReached: pods may ask the DNS servers of kube-system, and NodeLocal DNSCache where a node has it. That one
// has an address of the node's own and no pod, so no selector chooses it.
func TestDNSIsReached(t *testing.T) {
	t.Parallel()
	var policy networkingv1.NetworkPolicy
	object := find(t, render(t, filepath.Join(root, "deploy/network-policies")), "NetworkPolicy", "dns")
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &policy))
	udp, tcp, port := corev1.ProtocolUDP, corev1.ProtocolTCP, intstr.FromInt32(53)
	require.Equal(t, []networkingv1.NetworkPolicyEgressRule{{
		To: []networkingv1.NetworkPolicyPeer{
			{
				NamespaceSelector: &metav1.LabelSelector{
					MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"},
				},
			},
			{IPBlock: &networkingv1.IPBlock{CIDR: "169.254.20.10/32"}},
		},
		Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &port}, {Protocol: &tcp, Port: &port}},
	}}, policy.Spec.Egress)
}
