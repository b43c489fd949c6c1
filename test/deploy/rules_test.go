package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// workload is an object that leads to pods.
type workload struct {
	name     string
	template corev1.PodTemplateSpec
}

// templates says where the template of a workload's pods is, by kind.
var templates = map[string][]string{
	"Service.serving.knative.dev": {"spec", "template"},
	"Deployment.apps":             {"spec", "template"},
	"StatefulSet.apps":            {"spec", "template"},
	"DaemonSet.apps":              {"spec", "template"},
	"Job.batch":                   {"spec", "template"},
	"CronJob.batch":               {"spec", "jobTemplate", "spec", "template"},
}

func workloads(t *testing.T, objects []unstructured.Unstructured) []workload {
	t.Helper()
	var out []workload
	for _, o := range objects {
		path, ok := templates[o.GroupVersionKind().GroupKind().String()]
		if !ok {
			continue
		}
		template, found, err := unstructured.NestedMap(o.Object, path...)
		require.NoError(t, err)
		require.True(t, found, "%s %s has no template", o.GetKind(), o.GetName())
		w := workload{name: o.GetKind() + "/" + o.GetName()}
		require.NoError(t, convert(template, &w.template), w.name)
		claims, _, err := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates")
		require.NoError(t, err)
		for _, c := range claims {
			// What the controller of StatefulSets does.
			name, _, err := unstructured.NestedString(c.(map[string]any), "metadata", "name")
			require.NoError(t, err)
			w.template.Spec.Volumes = append(
				w.template.Spec.Volumes,
				corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name + "-0"},
				}},
			)
		}
		out = append(out, w)
	}
	return out
}

func convert(from any, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// checkPod returns the problems of the pods of a workload, one sentence for each.
func checkPod(w workload) (wrong []string) {
	pod := w.template.Spec
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		wrong = append(wrong, w.name+": it uses a namespace of its node")
	}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			wrong = append(wrong, fmt.Sprintf("%s: the volume %s is a directory of the node", w.name, v.Name))
		}
	}
	for _, c := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		for _, problem := range checkContainer(pod.SecurityContext, c) {
			wrong = append(wrong, fmt.Sprintf("%s, image %s: %s", w.name, c.Image, problem))
		}
	}
	return wrong
}

func checkContainer(pod *corev1.PodSecurityContext, c corev1.Container) (wrong []string) {
	refuse := func(when bool, problem string) {
		if when {
			wrong = append(wrong, problem)
		}
	}
	for _, r := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		limit, request := c.Resources.Limits[r], c.Resources.Requests[r]
		refuse(limit.IsZero(), "no limit of "+string(r))
		refuse(request.IsZero(), "no request of "+string(r))
	}
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	s := c.SecurityContext
	if s == nil {
		s = &corev1.SecurityContext{}
	}
	nonRoot, user, seccomp := s.RunAsNonRoot, s.RunAsUser, s.SeccompProfile
	if nonRoot == nil {
		nonRoot = pod.RunAsNonRoot
	}
	if user == nil {
		user = pod.RunAsUser
	}
	if seccomp == nil {
		seccomp = pod.SeccompProfile
	}
	refuse(nonRoot == nil || !*nonRoot || user != nil && *user == 0, "it may run as root")
	refuse(s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem, "its root file system can be written")
	refuse(s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation, "it may gain privileges")
	refuse(s.Privileged != nil && *s.Privileged, "it is privileged")
	refuse(
		s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0,
		"it keeps capabilities",
	)
	refuse(seccomp == nil || seccomp.Type != corev1.SeccompProfileTypeRuntimeDefault, "no seccomp profile")
	refuse(c.LivenessProbe == nil || c.ReadinessProbe == nil, "a probe is missing")

	image, digest, pinned := strings.Cut(c.Image, "@sha256:")
	_, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	refuse(tag == "latest", "the tag latest")
	refuse(!tagged && (!pinned || digest == ""), "no tag")
	return wrong
}

func TestPodsKeepToTheRules(t *testing.T) {
	checked := map[string]bool{}
	for piece, dir := range pieces(t) {
		for _, w := range workloads(t, render(t, dir)) {
			checked[w.name] = true
			require.Empty(t, checkPod(w), piece)
		}
	}
	require.GreaterOrEqual(t, len(checked), 5, "function, source, dead letters, Redis, Sentinel: %v", checked)
}

// TestRulesOfPodsCanFail plants one fault after the other in a container that has none.
func TestRulesOfPodsCanFail(t *testing.T) {
	const good = `{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
		"spec": {"template": {"spec": {"containers": [{
			"name": "c", "image": "dev.local/c:v1", "livenessProbe": {}, "readinessProbe": {},
			"resources": {"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "1Mi"}},
			"securityContext": {
				"runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
				"capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}
			}
		}]}}}
	}`
	pod := []string{"spec", "template", "spec"}
	for _, c := range []struct {
		says  string
		plant func(pod, container map[string]any)
	}{
		{"no limit of cpu", func(_, c map[string]any) { unstructured.RemoveNestedField(c, "resources", "limits", "cpu") }},
		{"no limit of memory", func(_, c map[string]any) { unstructured.RemoveNestedField(c, "resources", "limits") }},
		{"no request of memory", func(_, c map[string]any) {
			unstructured.RemoveNestedField(c, "resources", "requests",
				"memory")
		}},
		{"it may run as root", func(_, c map[string]any) {
			unstructured.RemoveNestedField(c, "securityContext",
				"runAsNonRoot")
		}},
		{"it may run as root", func(p, _ map[string]any) { p["securityContext"] = map[string]any{"runAsUser": int64(0)} }},
		{"its root file system can be written", func(_, c map[string]any) {
			set(c, false, "securityContext",
				"readOnlyRootFilesystem")
		}},
		{"it may gain privileges", func(_, c map[string]any) { set(c, true, "securityContext", "allowPrivilegeEscalation") }},
		{"it is privileged", func(_, c map[string]any) { set(c, true, "securityContext", "privileged") }},
		{"it keeps capabilities", func(_, c map[string]any) {
			unstructured.RemoveNestedField(c, "securityContext",
				"capabilities")
		}},
		{"it keeps capabilities", func(_, c map[string]any) {
			set(c, []any{"NET_RAW"}, "securityContext", "capabilities",
				"add")
		}},
		{"no seccomp profile", func(_, c map[string]any) {
			unstructured.RemoveNestedField(c, "securityContext",
				"seccompProfile")
		}},
		{"no seccomp profile", func(_, c map[string]any) {
			set(c, "Unconfined", "securityContext", "seccompProfile",
				"type")
		}},
		{"a probe is missing", func(_, c map[string]any) { delete(c, "readinessProbe") }},
		{"the tag latest", func(_, c map[string]any) { c["image"] = "dev.local/c:latest" }},
		{"no tag", func(_, c map[string]any) { c["image"] = "localhost:5000/c" }},
		{"it uses a namespace of its node", func(p, _ map[string]any) { p["hostNetwork"] = true }},
		{"is a directory of the node", func(p, _ map[string]any) {
			p["volumes"] = []any{map[string]any{"name": "v", "hostPath": map[string]any{"path": "/"}}}
		}},
		// A fault in a container that is not the first.
		{"no limit of cpu", func(p, _ map[string]any) {
			p["initContainers"] = []any{map[string]any{"name": "i",
				"image": "i:1"}}
		}},
	} {
		objects, err := decode(good)
		require.NoError(t, err)
		require.Empty(t, checkPod(workloads(t, objects)[0]))
		p, _, err := unstructured.NestedFieldNoCopy(objects[0].Object, pod...)
		require.NoError(t, err)
		spec := p.(map[string]any)
		c.plant(spec, spec["containers"].([]any)[0].(map[string]any))
		require.Contains(t, strings.Join(checkPod(workloads(t, objects)[0]), "\n"), c.says)
	}
}

func set(object map[string]any, value any, path ...string) {
	if err := unstructured.SetNestedField(object, value, path...); err != nil {
		panic(err)
	}
}

// permission is one thing that a role allows.
type permission struct{ group, resource, verb string }

func (p permission) String() string {
	return strings.TrimSuffix(p.verb+" "+p.resource+"."+p.group, ".")
}

// permissions are all that an object of RBAC allows, and nil for any other object.
func permissions(o unstructured.Unstructured) ([]permission, error) {
	if o.GetKind() != "Role" && o.GetKind() != "ClusterRole" {
		return nil, nil
	}
	var role rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
		return nil, err
	}
	var out []permission
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					out = append(out, permission{group, resource, verb})
				}
			}
		}
		for _, url := range rule.NonResourceURLs {
			for _, verb := range rule.Verbs {
				out = append(out, permission{"", url, verb})
			}
		}
	}
	return out, nil
}
