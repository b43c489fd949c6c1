package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// BenchmarkUpkeep measures what one flush of a storm costs the API server, for each place that the packed alerts can
// have: a field of the status, an annotation, or the status of an object of their own. A status write ignores metadata,
// so that an annotation needs a write of the object before it.
//
//	go test ./test/integration -run '^$' -bench Upkeep -benchtime 100x
func BenchmarkUpkeep(b *testing.B) {
	config := rest.CopyConfig(cluster.Config)
	config.QPS, config.Burst = 1000, 1000
	client, err := dynamic.NewForConfig(config)
	require.NoError(b, err)
	objects := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("incidents")).Namespace("stormfold")
	for _, alerts := range []int{15, 10000} {
		members := strings.Repeat("A", (alerts*8+2)/3*4)
		for place, flush := range map[string]func(u *upkeepBench, status map[string]any){
			"status": func(u *upkeepBench, status map[string]any) {
				status["upkeep"] = map[string]any{"members": members}
				u.write(u.name, "status", status, "")
			},
			"annotation": func(u *upkeepBench, status map[string]any) {
				u.write(u.name, "", nil, u.marked(members))
				u.write(u.name, "status", status, u.marked(members))
			},
			"object": func(u *upkeepBench, status map[string]any) {
				u.write(u.name+"-upkeep", "status", map[string]any{
					"observedRevision": status["observedRevision"], "upkeep": map[string]any{"members": members},
				}, "")
				u.write(u.name, "status", status, "")
			},
		} {
			b.Run(fmt.Sprintf("%s-%d", place, alerts), func(b *testing.B) {
				u := &upkeepBench{
					b:        b,
					objects:  objects,
					name:     fmt.Sprintf("upkeep-%s-%d", place, alerts),
					versions: map[string]string{},
				}
				u.create(u.name)
				u.create(u.name + "-upkeep")
				u.bytes = 0
				b.ResetTimer()
				for n := range b.N {
					flush(u, statusOf(alerts, n))
				}
				b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/flush")
				b.ReportMetric(float64(u.bytes)/float64(b.N), "bytes/flush")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// statusOf is the n-th status of a storm, without its upkeep.
func statusOf(alerts, n int) map[string]any {
	var resources []any
	for i := range min(alerts, v1alpha1.MaxResources) {
		resources = append(resources, map[string]any{
			"kind": "Pod", "namespace": "shop", "name": fmt.Sprintf("checkout-7d9f8b6c5d-%05d", i), "firing": true,
		})
	}
	return map[string]any{
		"state": "Firing", "type": "Storm", "severity": "critical", "observedRevision": int64(n + 1), "resources": resources,
		"alerts": map[string]any{"total": int64(alerts), "firing": int64(alerts), "resolved": int64(0)},
	}
}

// upkeepBench writes objects and counts the bytes of their bodies.
type upkeepBench struct {
	b        *testing.B
	objects  dynamic.ResourceInterface
	name     string
	versions map[string]string
	bytes    int
}

// marked is an annotation that changes with each flush.
func (u *upkeepBench) marked(members string) string {
	return fmt.Sprintf("%08d", u.bytes) + members[8:]
}

func (u *upkeepBench) create(name string) {
	o := u.object(name, nil, "")
	created, err := u.objects.Create(u.b.Context(), o, metav1.CreateOptions{})
	require.NoError(u.b, err)
	u.versions[name] = created.GetResourceVersion()
	ctx := context.WithoutCancel(u.b.Context())
	u.b.Cleanup(func() { require.NoError(u.b, u.objects.Delete(ctx, name, metav1.DeleteOptions{})) })
}

func (u *upkeepBench) object(name string, status map[string]any, annotation string) *unstructured.Unstructured {
	metadata := map[string]any{"name": name, "resourceVersion": u.versions[name]}
	if annotation != "" {
		metadata["annotations"] = map[string]any{"stormfold.io/members": annotation}
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.SchemeGroupVersion.String(), "kind": "Incident", "metadata": metadata,
		"spec": map[string]any{"policy": "default"},
	}}
	if status != nil {
		o.Object["status"] = status
	}
	return o
}

func (u *upkeepBench) write(name, subresource string, status map[string]any, annotation string) {
	o := u.object(name, status, annotation)
	body, err := json.Marshal(o)
	require.NoError(u.b, err)
	u.bytes += len(body)
	var sub []string
	if subresource != "" {
		sub = append(sub, subresource)
	}
	written, err := u.objects.Update(u.b.Context(), o, metav1.UpdateOptions{}, sub...)
	require.NoError(u.b, err)
	u.versions[name] = written.GetResourceVersion()
}
