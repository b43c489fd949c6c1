package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// manifests are what is applied of the module's config directory, one step after the other.
var manifests = [][]string{
	{"core/100-namespace.yaml"},
	{"core/resources", "channels/in-memory-channel/resources"},
	{
		"core/200-*.yaml", "core/configmaps", "core/roles",
		"channels/in-memory-channel/200-*.yaml", "channels/in-memory-channel/configmaps", "channels/in-memory-channel/roles",
		"brokers/mt-channel-broker/roles",
	},
	{
		"core/webhooks", "channels/in-memory-channel/webhooks",
		// No node ever runs these two; their controllers look at them.
		"channels/in-memory-channel/deployments/dispatcher.yaml", "core/deployments/pingsource-mt-adapter.yaml",
	},
}

// webhookServices are the Services that the API server calls for admission and conversion.
const (
	eventingWebhook = "eventing-webhook"
	channelWebhook  = "inmemorychannel-webhook"
)

// install applies the manifests of the module's version and what replaces the pods.
func (e *EventingServer) install(ctx context.Context, ports eventingPorts) error {
	dir, err := ModuleDir(ctx, "knative.dev/eventing")
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "config")
	webhooks := map[string]int{eventingWebhook: ports.webhook, channelWebhook: ports.channelWebhook}
	for i, patterns := range manifests {
		var objects []map[string]any
		for _, pattern := range patterns {
			found, err := ReadManifests(filepath.Join(dir, pattern))
			if err != nil {
				return err
			}
			objects = append(objects, found...)
		}
		for _, object := range objects {
			callPorts(object, webhooks)
			quieten(object)
		}
		if i == len(manifests)-1 {
			objects = append(objects, standIns()...)
		}
		if err := e.apply(ctx, objects); err != nil {
			return fmt.Errorf("install Knative Eventing: %w", err)
		}
	}
	for _, name := range []string{"imc-dispatcher", "pingsource-mt-adapter"} {
		if err := e.setAvailable(ctx, systemNamespace, name); err != nil {
			return err
		}
	}
	return e.awaitDefinitions(ctx)
}

// ReadManifests reads the objects of a file, of a directory's files, or of the files that match a pattern.
func ReadManifests(pattern string) ([]map[string]any, error) {
	if filepath.Ext(pattern) != ".yaml" {
		pattern = filepath.Join(pattern, "*.yaml")
	}
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = errors.New("no such file")
	}
	if err != nil {
		return nil, fmt.Errorf("find the manifests %s: %w", pattern, err)
	}
	slices.Sort(files)
	var objects []map[string]any
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a manifest: %w", err)
		}
		found, err := decodeObjects(content)
		if err != nil {
			return nil, fmt.Errorf("read the manifest %s: %w", file, err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// decodeObjects reads the documents of a YAML file; those of comments only are none.
func decodeObjects(content []byte) ([]map[string]any, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var objects []map[string]any
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object) > 0 {
			objects = append(objects, object)
		}
	}
}

// callPorts gives the port to every reference to a webhook's Service, in whatever depth: the default, 443, would need
// root.
func callPorts(value any, ports map[string]int) {
	switch value := value.(type) {
	case map[string]any:
		if service, ok := value["service"].(map[string]any); ok {
			if port, ok := ports[fmt.Sprint(service["name"])]; ok {
				service["port"] = port
			}
		}
		for _, inner := range value {
			callPorts(inner, ports)
		}
	case []any:
		for _, inner := range value {
			callPorts(inner, ports)
		}
	}
}

// quieten has the components log warnings and errors only: otherwise they log every reconciliation with whole objects.
func quieten(object map[string]any) {
	data, ok := object["data"].(map[string]any)
	if !ok {
		return
	}
	if config, ok := data["zap-logger-config"].(string); ok {
		data["zap-logger-config"] = strings.Replace(config, `"level": "info"`, `"level": "warn"`, 1)
		data["loglevel.controller"], data["loglevel.webhook"] = "warn", "warn"
	}
}

// standIns take the place of what needs pods. The webhooks' Services lead to loopback by an external name; TLS still
// uses the Service's own name. The controllers look for the Services of the data plane and for addresses behind them:
// nobody calls these, and loopback addresses are refused there.
func standIns() []map[string]any {
	object := func(apiVersion, kind, name string, rest map[string]any) map[string]any {
		metadata := map[string]any{"name": name, "namespace": systemNamespace}
		if kind == "EndpointSlice" {
			metadata["labels"] = map[string]any{"kubernetes.io/service-name": name}
		}
		rest["apiVersion"], rest["kind"], rest["metadata"] = apiVersion, kind, metadata
		return rest
	}
	var objects []map[string]any
	for _, name := range []string{eventingWebhook, channelWebhook} {
		objects = append(objects, object("v1", "Service", name, map[string]any{
			"spec": map[string]any{"type": "ExternalName", "externalName": "localhost"},
		}))
	}
	for _, name := range []string{"imc-dispatcher", "broker-filter", "broker-ingress"} {
		objects = append(objects,
			object("v1", "Service", name, map[string]any{
				"spec": map[string]any{"ports": []any{map[string]any{"name": "http", "port": 80, "targetPort": 8080}}},
			}),
			object("discovery.k8s.io/v1", "EndpointSlice", name, map[string]any{
				"addressType": "IPv4",
				"ports":       []any{map[string]any{"name": "http", "port": 8080, "protocol": "TCP"}},
				"endpoints": []any{map[string]any{
					"addresses": []any{"10.255.0.1"}, "conditions": map[string]any{"ready": true},
				}},
			}))
	}
	return objects
}

// apply applies objects on the server's side. Fields that this API server does not know are dropped, as kubectl apply
// without validation does.
func (e *EventingServer) apply(ctx context.Context, objects []map[string]any) error {
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		return err
	}
	_, err = e.cluster.RunKubectl(ctx, string(list), "apply", "--server-side", "--force-conflicts", "--validate=false",
		"--field-manager=stormfold-testbed", "--filename=-")
	return err
}

// setAvailable says of a Deployment what its controller would say when its pods run.
func (e *EventingServer) setAvailable(ctx context.Context, namespace, name string) error {
	deployments := e.cluster.Client.AppsV1().Deployments(namespace)
	deployment, err := deployments.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Deployment %s: %w", name, err)
	}
	now := metav1.Now()
	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation,
		Replicas:           1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1,
		Conditions: []appsv1.DeploymentCondition{
			{
				Type:               appsv1.DeploymentAvailable,
				Status:             corev1.ConditionTrue,
				Reason:             "Process",
				LastUpdateTime:     now,
				LastTransitionTime: now,
			},
			{
				Type:               appsv1.DeploymentProgressing,
				Status:             corev1.ConditionTrue,
				Reason:             "Process",
				LastUpdateTime:     now,
				LastTransitionTime: now,
			},
		},
	}
	if _, err := deployments.UpdateStatus(ctx, deployment, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("set the status of Deployment %s: %w", name, err)
	}
	return nil
}

// awaitDefinitions waits until the API server serves every kind of Eventing, and until the aggregated roles hold what
// the components need of them: without it, their first tries would fail and wait longer and longer.
func (e *EventingServer) awaitDefinitions(ctx context.Context) error {
	if _, err := e.cluster.RunKubectl(ctx, "", "wait", "--for=condition=Established", "crd", "--all",
		"--timeout=60s"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return await(ctx, nil, "aggregated ClusterRoles", func(ctx context.Context) error {
		roles, err := e.cluster.Client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/name=knative-eventing",
		})
		if err != nil {
			return err
		}
		for _, role := range roles.Items {
			if role.AggregationRule != nil && len(role.Rules) == 0 {
				return fmt.Errorf("%s has no rules yet", role.Name)
			}
		}
		return nil
	})
}
