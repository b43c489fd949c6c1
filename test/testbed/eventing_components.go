package testbed

import "strconv"

// component is a process of Knative Eventing. Its name is that of its Deployment and of its executable.
type component struct {
	name    string
	account string // The service account that its Deployment names.
	port    int    // Where it listens when it is up, 0 when nobody calls it.
	env     []string
}

// eventingPorts are those that can be chosen.
type eventingPorts struct {
	webhook, channelWebhook, ingress, ingressTLS, filter, filterTLS int
}

// components are in the order of their start. The dispatcher has to be the first: the others serve their health on the
// same port 8080, can do without it, and would keep it from the dispatcher.
func components(p eventingPorts) []component {
	number := strconv.Itoa
	// The others would take it as the only namespace to look at.
	const inNamespace = "NAMESPACE=" + systemNamespace
	return []component{
		{"imc-dispatcher", "imc-dispatcher", dispatcherPorts[0], []string{
			"MAX_IDLE_CONNS=1000", "MAX_IDLE_CONNS_PER_HOST=1000",
		}},
		{"eventing-webhook", "eventing-webhook", p.webhook, []string{
			"WEBHOOK_NAME=eventing-webhook", "WEBHOOK_PORT=" + number(p.webhook), "SINK_BINDING_SELECTION_MODE=exclusion",
		}},
		{"imc-controller", "imc-controller", p.channelWebhook, []string{
			"WEBHOOK_NAME=inmemorychannel-webhook", "WEBHOOK_PORT=" + number(p.channelWebhook), "DISPATCHER_IMAGE=none",
		}},
		{"eventing-controller", "eventing-controller", 0, []string{
			"APISERVER_RA_IMAGE=none", "AUTH_PROXY_IMAGE=none", "EVENT_TRANSFORM_JSONATA_IMAGE=none",
		}},
		{"mt-broker-controller", "eventing-controller", 0, nil},
		{"mt-broker-filter", "mt-broker-filter", p.filter, []string{
			inNamespace, "FILTER_PORT=" + number(p.filter), "FILTER_PORT_HTTPS=" + number(p.filterTLS),
		}},
		{"mt-broker-ingress", "mt-broker-ingress", p.ingress, []string{
			inNamespace, "INGRESS_PORT=" + number(p.ingress), "INGRESS_PORT_HTTPS=" + number(p.ingressTLS),
		}},
		{"pingsource-mt-adapter", "pingsource-mt-adapter", 0, []string{
			inNamespace, "K_OBSERVABILITY_CONFIG={}", "K_LOGGING_CONFIG=", "K_LEADER_ELECTION_CONFIG=", "K_NO_SHUTDOWN_AFTER=0",
			"K_SINK_TIMEOUT=-1",
		}},
	}
}

func componentNames() []string {
	var names []string
	for _, c := range components(eventingPorts{}) {
		names = append(names, c.name)
	}
	return names
}

// componentEnv is what every component finds in its pod, and what keeps it from listening on a fixed port.
func (e *EventingServer) componentEnv(name, kubeconfig string) ([]string, error) {
	metrics, err := FreePort()
	if err != nil {
		return nil, err
	}
	profiling, err := FreePort()
	if err != nil {
		return nil, err
	}
	return append(e.Env(),
		"KUBECONFIG="+kubeconfig, "SYSTEM_NAMESPACE="+systemNamespace, "POD_NAME="+name, "CONTAINER_NAME="+name,
		"CONFIG_LOGGING_NAME=config-logging", "CONFIG_OBSERVABILITY_NAME=config-observability",
		"CONFIG_LEADERELECTION_NAME=config-leader-election", "METRICS_DOMAIN=knative.dev/eventing",
		"METRICS_PROMETHEUS_PORT="+strconv.Itoa(metrics), "PROFILING_PORT="+strconv.Itoa(profiling),
	), nil
}
