//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"os/exec"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// policies enforces the cluster's NetworkPolicies by a table of nft, written again whenever it changes.
//
// What the node itself sends (kubelet's probes, the ingress, the API server) is not filtered, as in most
// implementations; what pods send to the node is. The node's port 53 counts as a pod of kube-system, since CoreDNS runs
// there as a process.
type policies struct {
	nft     string
	objects informers.SharedInformerFactory
}

// startPolicies enforces until the context ends.
func (n *node) startPolicies(ctx context.Context) error {
	p := policies{nft: n.plan.Programs["nft"], objects: informers.NewSharedInformerFactory(n.cluster.Client, 0)}
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		p.objects.Core().V1().Pods().Informer(), p.objects.Core().V1().Namespaces().Informer(),
		p.objects.Networking().V1().NetworkPolicies().Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { notify() }, UpdateFunc: func(any, any) { notify() }, DeleteFunc: func(any) { notify() },
		})
		if err != nil {
			return err
		}
	}
	p.objects.Start(ctx.Done())
	p.objects.WaitForCacheSync(ctx.Done())
	go func() {
		var last string
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			rules, err := p.render()
			if err == nil && rules != last {
				if err = p.load(ctx, rules, last != ""); err == nil {
					last = rules
				}
			}
			if err != nil {
				log.Printf("network policies: %v", err)
				time.Sleep(100 * time.Millisecond)
				notify()
			}
		}
	}()
	return nil
}

// load replaces the table in one transaction.
func (p policies) load(ctx context.Context, rules string, replace bool) error {
	if replace {
		rules = "delete table inet policies\n" + rules
	}
	cmd := exec.CommandContext(ctx, p.nft, "--file", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// render writes the table: for each pod that a policy selects a chain for each direction, which ends with a drop.
func (p policies) render() (string, error) {
	pods, err := p.pods()
	if err != nil {
		return "", err
	}
	all, err := p.objects.Networking().V1().NetworkPolicies().Lister().List(labels.Everything())
	if err != nil {
		return "", err
	}
	slices.SortFunc(all, func(a, b *networkingv1.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	var chains strings.Builder
	jumps := map[networkingv1.PolicyType][]string{}
	for _, pod := range pods {
		var mine []*networkingv1.NetworkPolicy
		for _, policy := range all {
			if policy.Namespace == pod.Namespace && selects(&policy.Spec.PodSelector, pod.Labels) {
				mine = append(mine, policy)
			}
		}
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
			var rules []string
			isolated := false
			for _, policy := range mine {
				if !slices.Contains(policy.Spec.PolicyTypes, direction) {
					continue
				}
				isolated = true
				if direction == networkingv1.PolicyTypeIngress {
					for _, r := range policy.Spec.Ingress {
						rules = append(rules, p.rules(pods, pod.Namespace, "saddr", r.From, r.Ports)...)
					}
				} else {
					for _, r := range policy.Spec.Egress {
						rules = append(rules, p.rules(pods, pod.Namespace, "daddr", r.To, r.Ports)...)
					}
				}
			}
			if !isolated {
				continue
			}
			chain := strings.ToLower(string(direction)) + "_" + strings.ReplaceAll(pod.Status.PodIP, ".", "_")
			fmt.Fprintf(&chains, "  chain %s {\n    %s\n    drop\n  }\n", chain, strings.Join(rules, "\n    "))
			jumps[direction] = append(jumps[direction], pod.Status.PodIP+" : jump "+chain)
		}
	}
	vmap := func(address string, direction networkingv1.PolicyType) string {
		if len(jumps[direction]) == 0 {
			return ""
		}
		return "ip " + address + " vmap { " + strings.Join(jumps[direction], ", ") + " }"
	}
	return fmt.Sprintf(`table inet policies {
%s  chain sent {
    ct state established,related accept
    %s
  }
  chain forward {
    type filter hook forward priority 10; policy accept;
    jump sent
    %s
  }
  chain input {
    type filter hook input priority 10; policy accept;
    iifname cni0 jump sent
  }
}
`, &chains, vmap("saddr", networkingv1.PolicyTypeEgress), vmap("daddr", networkingv1.PolicyTypeIngress)), nil
}

// pods are those with an address of their own, in the order of their addresses.
func (p policies) pods() ([]*corev1.Pod, error) {
	all, err := p.objects.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(pod *corev1.Pod) bool {
		return pod.Status.PodIP == "" || pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded ||
			pod.Status.Phase == corev1.PodFailed
	})
	slices.SortFunc(all, func(a, b *corev1.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	return slices.CompactFunc(all, func(a, b *corev1.Pod) bool { return a.Status.PodIP == b.Status.PodIP }), nil
}

// rules are those of one entry of a policy: every peer with every port.
func (p policies) rules(
	pods []*corev1.Pod,
	namespace, address string,
	peers []networkingv1.NetworkPolicyPeer,
	ports []networkingv1.NetworkPolicyPort,
) []string {
	who := []string{""}
	if len(peers) > 0 {
		who = nil
		for _, peer := range peers {
			if addresses := p.addresses(pods, namespace, peer); len(addresses) > 0 {
				who = append(who, "ip "+address+" { "+strings.Join(addresses, ", ")+" } ")
			}
		}
	}
	what := []string{""}
	if len(ports) > 0 {
		what = nil
		for _, port := range ports {
			protocol := "tcp"
			if port.Protocol != nil {
				protocol = strings.ToLower(string(*port.Protocol))
			}
			if port.Port == nil {
				what = append(what, "meta l4proto "+protocol+" ")
			} else {
				what = append(what, fmt.Sprintf("%s dport %s ", protocol, port.Port))
			}
		}
	}
	var rules []string
	for _, w := range who {
		for _, x := range what {
			rules = append(rules, w+x+"return")
		}
	}
	return rules
}

// addresses are those of a peer.
func (p policies) addresses(pods []*corev1.Pod, namespace string, peer networkingv1.NetworkPolicyPeer) []string {
	if peer.IPBlock != nil {
		return []string{peer.IPBlock.CIDR}
	}
	inside := func(name string) bool {
		if peer.NamespaceSelector == nil {
			return name == namespace
		}
		ns, err := p.objects.Core().V1().Namespaces().Lister().Get(name)
		return err == nil && selects(peer.NamespaceSelector, ns.Labels)
	}
	var addresses []string
	if peer.PodSelector == nil && inside(metav1.NamespaceSystem) {
		addresses = append(addresses, nodeIP) // CoreDNS
	}
	for _, pod := range pods {
		if inside(pod.Namespace) && (peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)) {
			addresses = append(addresses, pod.Status.PodIP)
		}
	}
	return addresses
}

func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(of))
}
