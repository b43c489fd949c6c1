package deploy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// bases are what a component of deploy/ is put on in the tests: pieces that have what it changes.
var bases = map[string][]string{
	"rbac/all-namespaces":        {"rbac"},
	"namespace-mode-alert":       {"rbac", "function"},
	"eventing/kubernetes-events": {"eventing"},
	"eventing/kafka":             {"eventing"},
	"source/token":               {"source"},
	"source/tls":                 {"source"},
	"source/direct":              {"source", "function"},
	"source/lookups":             {"source"},
	"observability":              {"function", "source", "eventing"},
}

// kustomization is as much of a file of that name as the tests look at.
type kustomization struct {
	Kind string `json:"kind"`
}

// pieces returns the directories of deploy/ that can be applied, by their name below it: as they are, and components in
// an overlay that this makes for them.
func pieces(t *testing.T) map[string]string {
	t.Helper()
	found, components := map[string]string{}, 0
	deploy := filepath.Join(root, "deploy")
	require.NoError(t, filepath.WalkDir(deploy, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		dir := filepath.Dir(path)
		name, err := filepath.Rel(deploy, dir)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var k kustomization
		if err := sigsyaml.Unmarshal(content, &k); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		switch k.Kind {
		case "Kustomization":
			found[name] = dir
		case "Component":
			components++
			on, known := bases[name]
			if !known {
				return fmt.Errorf("%s is a component: say in bases what it goes on", path)
			}
			found[name] = overlay(t, "stormfold", on, name)
		default:
			return fmt.Errorf("%s is of kind %q", path, k.Kind)
		}
		return nil
	}))
	require.Len(t, bases, components, "a component is gone, and its line in bases can go too")
	return found
}

// overlay makes a kustomization of pieces and components, in a namespace. Kustomize wants relative paths.
func overlay(t *testing.T, namespace string, resources []string, components ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	deploy, err := filepath.Abs(filepath.Join(root, "deploy"))
	require.NoError(t, err)
	relative, err := filepath.Rel(dir, deploy)
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(
		&b,
		"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: %s\nresources:\n",
		namespace,
	)
	for _, r := range resources {
		fmt.Fprintf(&b, "- %s\n", filepath.Join(relative, r))
	}
	b.WriteString("components:\n")
	for _, c := range components {
		fmt.Fprintf(&b, "- %s\n", filepath.Join(relative, c))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(b.String()), 0o600))
	return dir
}

// render is what kustomize makes of a directory.
func render(t *testing.T, dir string) []unstructured.Unstructured {
	t.Helper()
	objects, err := decode(cluster.Kubectl(t, "kustomize", dir))
	require.NoError(t, err)
	return objects
}

func decode(manifests string) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096); ; {
		var o unstructured.Unstructured
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// find is the one object of a kind and name.
func find(t *testing.T, objects []unstructured.Unstructured, kind, name string) unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(
		objects,
		func(o unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name },
	)
	require.GreaterOrEqual(t, i, 0, "no %s %s", kind, name)
	return objects[i]
}
