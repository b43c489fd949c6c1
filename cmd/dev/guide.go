package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// welcome lists the addresses and what to do next.
func (s settings) welcome() string {
	var b strings.Builder
	place := func(name, address, note string) {
		fmt.Fprintf(&b, "  %-20s  %s\n", name, strings.TrimRight(fmt.Sprintf("%-22s  %s", address, note), " "))
	}
	place("CloudEvents", "http://"+s.listen, "")
	place("Alertmanager webhook", "http://"+s.webhook, "the url of a receiver's webhook_configs")
	if s.kubeconfig == "" {
		place("Kubernetes API", "http://"+s.api, "read-only, incidents only")
	}
	if s.metrics != "off" {
		place("metrics", "http://"+s.metrics+"/metrics", "")
	}
	fmt.Fprintf(
		&b,
		"\nIn another terminal:\n\n  make storm   # send 15 alerts at once; run it again to resolve them\n  make outage  # a node goes down with its pods; run it again to resolve\n  %s\n\nStop with Ctrl-C.\n",
		s.treeCommand(),
	)
	return b.String()
}

// treeCommand is the command that draws the firing incidents.
func (s settings) treeCommand() string {
	if s.kubeconfig != "" {
		return "go run ./cmd/stormctl tree --kubeconfig " + s.kubeconfig + " -n " + s.namespace
	}
	return "go run ./cmd/stormctl tree --server http://" + s.api + " -n " + s.namespace
}

// stormSent describes what dev storm has sent, what make run shows, and what to do next.
func (s settings) stormSent(last *v1alpha1.Incident, firing bool, took time.Duration) string {
	status, next := "firing", "resolves them"
	shows := fmt.Sprintf("make run shows one incident, which within a second is a Storm of %d.", stormAlerts)
	switch {
	case !firing:
		status, shows = "resolved", fmt.Sprintf("make run shows that %s is Resolved.", last.Name)
		next = "fires them again, which reopens the incident"
	case last != nil:
		shows = fmt.Sprintf("make run shows that %s is reopened.\n"+
			"After the policy's cooldown, 20 minutes by default, it would be a new incident.", last.Name)
	}
	return fmt.Sprintf("Sent %d %s alerts in %d ms; all were accepted.\n%s\n\nNext:\n\n  make storm  # %s\n  %s\n",
		stormAlerts, status, took.Milliseconds(), shows, next, s.treeCommand())
}
