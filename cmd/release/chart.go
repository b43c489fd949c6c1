package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// The chart is made of the kustomizations: base as it is, and for each option the difference that it makes, inside an
// if. A test holds that the chart renders what the kustomizations do.
var base = []string{
	"deploy/rbac", "deploy/function", "deploy/eventing", "deploy/source", "deploy/network-policies",
}

// option is what a value of the chart adds to the base.
type option struct {
	// when is the condition of a template.
	when                  string
	resources, components []string
	patches               []types.Patch
}

var chartOptions = []option{
	{when: ".Values.users", resources: []string{"deploy/rbac/users"}},
	{when: ".Values.redis.trial", resources: []string{"deploy/redis/trial"}},
	{when: "not .Values.redis.trial", patches: redisElsewhere},
	{when: `eq .Values.namespaceMode "alert"`, components: []string{"deploy/namespace-mode-alert"}},
	{when: ".Values.source.token", components: []string{"deploy/source/token"}},
	{when: ".Values.source.tls", components: []string{"deploy/source/tls"}},
	{when: ".Values.source.direct", components: []string{"deploy/source/direct"}},
	{when: ".Values.source.lookups", components: []string{"deploy/source/lookups"}},
	{when: ".Values.kafka", components: []string{"deploy/eventing/kafka"}},
	{when: ".Values.kubernetesEvents", components: []string{"deploy/eventing/kubernetes-events"}},
	{when: ".Values.observability", components: []string{"deploy/observability"}},
}

// redisElsewhere is the patch of deploy/production for a Redis that no selector finds.
var redisElsewhere = []types.Patch{{
	Target: &types.Selector{ResId: resID("NetworkPolicy", "stormfold")},
	Patch: `- op: add
  path: /spec/egress/-
  value:
    ports:
    - {protocol: TCP, port: 6379}
    - {protocol: TCP, port: 6380}
    - {protocol: TCP, port: 26379}
`,
}}

// namespaceMark is the namespace in what is rendered, until the template takes its place.
const namespaceMark = "release-namespace-mark"

//go:embed all:chart
var skeleton embed.FS

// writeChart writes the chart as helm package does.
func writeChart(_ context.Context, o *options) error {
	files, err := chartFiles(o)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("stormfold-%s.tgz", strings.TrimPrefix(o.version, "v"))
	return writeTarGz(filepath.Join(o.out, name), o.date, files)
}

// chartFiles are those of the archive: Chart.yaml first, where Helm looks for it.
func chartFiles(o *options) ([]entry, error) {
	var out []entry
	add := func(name, content string) {
		out = append(out, entry{name: "stormfold/" + name, mode: 0o644, content: []byte(content)})
	}
	place := strings.NewReplacer("CHART_VERSION", strings.TrimPrefix(o.version, "v"), "APP_VERSION", o.version,
		"IMAGE_REPOSITORY", o.repository)
	if err := fs.WalkDir(skeleton, "chart", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := skeleton.ReadFile(path)
		if err != nil {
			return err
		}
		add(strings.TrimPrefix(path, "chart/"), place.Replace(string(content)))
		return nil
	}); err != nil {
		return nil, err
	}
	definitions, err := os.ReadFile("deploy/crd/stormfold.io_incidents.yaml")
	if err != nil {
		return nil, err
	}
	add("crds/stormfold.io_incidents.yaml", string(definitions))
	templates, err := chartTemplates()
	if err != nil {
		return nil, err
	}
	for _, t := range templates {
		add("templates/"+t.name, t.text)
	}
	return out, nil
}

// manifest is one object, as text.
type manifest struct{ name, text string }

// chartTemplates are a template for each object of the base and of the options.
func chartTemplates() ([]manifest, error) {
	plain, err := objectsOf(option{})
	if err != nil {
		return nil, err
	}
	variants := map[string][]variant{}
	var added []manifest
	for _, o := range chartOptions {
		objects, err := objectsOf(o)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			if text, there := find(plain, object.name); !there {
				added = append(added, manifest{object.name, wrap(o.when, object.text)})
			} else if text != object.text {
				variants[object.name] = append(variants[object.name], variant{o.when, object.text})
			}
		}
	}
	var out []manifest
	for _, object := range plain {
		text, err := merge(object.text, variants[object.name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object.name, err)
		}
		if strings.HasPrefix(object.name, "networkpolicy-") {
			text = wrap(".Values.networkPolicies", text)
		}
		out = append(out, manifest{object.name, text})
	}
	out = append(out, added...)
	for i := range out {
		if out[i].text, err = withValues(out[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", out[i].name, err)
		}
	}
	return out, nil
}

func find(objects []manifest, name string) (string, bool) {
	for _, o := range objects {
		if o.name == name {
			return o.text, true
		}
	}
	return "", false
}

func wrap(when, text string) string { return "{{- if " + when + " }}\n" + text + "{{- end }}\n" }

// objectsOf renders the base with an option. Their fields are in the order of their names, so that texts can be
// compared. What would be taken for a template is quoted.
func objectsOf(o option) ([]manifest, error) {
	rendered, err := kustomize(types.Kustomization{
		Namespace: namespaceMark, Resources: append(append([]string{}, base...), o.resources...),
		Components: o.components,
		Patches:    o.patches,
	})
	if err != nil {
		return nil, err
	}
	var out []manifest
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return nil, err
		}
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		group := ""
		if object.GetKind() == "Service" && object.GetAPIVersion() != "v1" {
			group = "knative-"
		}
		name := group + strings.ToLower(object.GetKind()) + "-" + object.GetName() + ".yaml"
		out = append(out, manifest{name, strings.ReplaceAll(string(text), "{{", `{{ "{{" }}`)})
	}
	return out, nil
}

// What values replace.
var (
	anyImage = regexp.MustCompile(`(?m)image: ` + deployed + `/([a-z-]+):\S+$`)
	minScale = regexp.MustCompile(`(?m)(autoscaling.knative.dev/min-scale: )"\d+"$`)
	firstEnv = regexp.MustCompile(`(?m)^( +)(?:- )?env:\n( +)- name: `)
	policies = regexp.MustCompile(`(?ms)^  policies\.yaml: \|\n(?:    [^\n]*\n|\n)+`)
)

// withValues replaces what an installation chooses by values.
func withValues(m manifest) (string, error) {
	text := strings.ReplaceAll(m.text, namespaceMark, "{{ .Release.Namespace }}")
	text = anyImage.ReplaceAllString(text,
		"image: {{ .Values.images.repository }}/$1:{{ .Values.images.tag | default .Chart.AppVersion }}")
	switch m.name {
	case "knative-service-stormfold.yaml":
		at := firstEnv.FindStringSubmatchIndex(text)
		if at == nil || !minScale.MatchString(text) {
			return "", fmt.Errorf("it has no env or no min-scale any more")
		}
		indent := at[5] - at[4]
		env := fmt.Sprintf("{{- with .Values.function.env }}\n{{ toYaml . | indent %d }}\n{{- end }}\n", indent)
		text = text[:at[4]] + env + text[at[4]:]
		text = minScale.ReplaceAllString(text, "${1}{{ .Values.function.minScale | quote }}")
	case "configmap-stormfold-policies.yaml":
		at := policies.FindStringIndex(text)
		if at == nil {
			return "", fmt.Errorf("it has no policies.yaml any more")
		}
		text = text[:at[0]] + "{{- if .Values.policies }}\n  policies.yaml: {{ .Values.policies | toJson }}\n{{- else }}\n" +
			text[at[0]:at[1]] + "{{- end }}\n" + text[at[1]:]
	}
	return text, nil
}
