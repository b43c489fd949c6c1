//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/stormfold/stormfold/test/testbed"
)

// component is Serving or Eventing: the steps in which its manifests are applied, by module, and the Deployments to
// wait for.
type component struct {
	module      string
	namespace   string
	steps       [][]string
	deployments []string
}

// The paths are of the component's own module, or MODULE!path.
var (
	serving = component{
		module: "knative.dev/serving", namespace: "knative-serving",
		steps: [][]string{
			{"config/core/100-namespace.yaml", "config/core/200-serviceaccount.yaml", "config/core/200-roles"},
			{
				"config/core/300-resources", "knative.dev/networking!config/certificate.yaml",
				"knative.dev/networking!config/domain-claim.yaml",
				"knative.dev/networking!config/ingress.yaml", "knative.dev/networking!config/serverlessservice.yaml",
				"knative.dev/caching!config/image.yaml",
			},
			{"config/core/configmaps", "knative.dev/networking!config/config-network.yaml"},
			{
				"config/core/deployments/activator.yaml", "config/core/deployments/autoscaler.yaml",
				"config/core/deployments/controller.yaml", "config/core/deployments/webhook.yaml", "config/core/webhooks",
			},
		},
		deployments: []string{"webhook", "controller", "autoscaler", "activator"},
	}
	eventing = component{
		module: "knative.dev/eventing", namespace: "knative-eventing",
		steps: [][]string{
			{"config/core/100-namespace.yaml", "config/core/resources", "config/channels/in-memory-channel/resources"},
			{
				"config/core/200-*.yaml", "config/core/roles", "config/channels/in-memory-channel/200-*.yaml",
				"config/channels/in-memory-channel/roles", "config/brokers/mt-channel-broker/roles",
			},
			{
				"config/core/configmaps", "config/channels/in-memory-channel/configmaps",
				"third_party/eventing-integrations-latest/eventing-integrations-images.yaml",
				"third_party/eventing-integrations-latest/eventing-transformations-images.yaml",
			},
			{
				"config/core/deployments/controller.yaml", "config/core/deployments/webhook.yaml",
				"config/core/deployments/pingsource-mt-adapter.yaml", "config/core/webhooks",
				"config/channels/in-memory-channel/deployments", "config/channels/in-memory-channel/webhooks",
				"config/brokers/mt-channel-broker/deployments/controller.yaml",
				"config/brokers/mt-channel-broker/deployments/broker-ingress.yaml",
				"config/brokers/mt-channel-broker/deployments/broker-filter.yaml",
			},
		},
		deployments: []string{
			"eventing-webhook", "eventing-controller", "imc-controller", "imc-dispatcher", "mt-broker-controller",
			"mt-broker-ingress",
			"mt-broker-filter",
		},
	}
)

// settings are what differs from the manifests: the networking layer is the one in this process.
var settings = map[string]map[string]string{
	"config-network": {"ingress-class": ingressClass},
	"config-domain":  {"node.test": ""},
}

// install applies the manifests of a component and waits for its Deployments.
func (n *node) install(ctx context.Context, c component) error {
	for i, step := range c.steps {
		var objects []map[string]any
		for _, path := range step {
			module, file, found := strings.Cut(path, "!")
			if !found {
				module, file = c.module, path
			}
			dir, err := testbed.ModuleDir(ctx, module)
			if err != nil {
				return err
			}
			read, err := testbed.ReadManifests(filepath.Join(dir, file))
			if err != nil {
				return err
			}
			objects = append(objects, read...)
		}
		for _, object := range objects {
			adapt(object)
		}
		if err := n.apply(ctx, objects...); err != nil {
			return fmt.Errorf("install %s: %w", c.module, err)
		}
		if i == 1 {
			if _, err := n.kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=2m"); err != nil {
				return err
			}
		}
	}
	return n.rolledOut(ctx, c.namespace, "deployment", c.deployments...)
}

// rolledOut waits until the pods of workloads are there.
func (n *node) rolledOut(ctx context.Context, namespace, kind string, names ...string) error {
	for _, name := range names {
		if _, err := n.kubectl(ctx, "--namespace", namespace, "rollout", "status", kind+"/"+name,
			"--timeout=4m"); err != nil {
			return err
		}
	}
	return nil
}

// apply applies objects on the server's side, in their order.
func (n *node) apply(ctx context.Context, objects ...map[string]any) error {
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		return err
	}
	_, err = n.cluster.RunKubectl(
		ctx,
		string(list),
		"apply",
		"--server-side",
		"--force-conflicts",
		"--validate=false",
		"--filename=-",
	)
	return err
}

// adapt names the images that are on the node, makes the settings, and asks for little CPU: all of it shares two cores.
func adapt(object map[string]any) {
	if object["kind"] == "ConfigMap" {
		name, _ := object["metadata"].(map[string]any)["name"].(string)
		data, _ := object["data"].(map[string]any)
		if data == nil && len(settings[name]) > 0 {
			data = map[string]any{}
			object["data"] = data
		}
		for key, value := range settings[name] {
			data[key] = value
		}
	}
	adaptValue(object)
}

func adaptValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if requests, ok := inner.(map[string]any); ok && key == "requests" && requests["cpu"] != nil {
				requests["cpu"] = "5m"
			}
			value[key] = adaptValue(inner)
		}
	case []any:
		for i, inner := range value {
			value[i] = adaptValue(inner)
		}
	case string:
		for _, area := range []string{"serving", "eventing"} {
			if program, ok := strings.CutPrefix(value, "ko://knative.dev/"+area+"/cmd/"); ok {
				return "dev.local/" + area + "/" + program + ":v1"
			}
		}
	}
	return value
}
