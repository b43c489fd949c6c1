// Package test holds what is tested of the repository as a whole.
package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/stormfold/stormfold"

// mayImport says which packages of the project the code of a package may import. A key covers the packages below it.
// What is not listed here has no place yet. Imports point one way: function wires the rest, and nothing inside imports
// function.
var mayImport = map[string][]string{
	"api":          {},
	"subject":      {},
	"config":       {"subject"},
	"version":      {},
	"build":        {},
	"meter":        {"version"},
	"aggregator":   {"config", "subject"},
	"handlers":     {"aggregator", "api"},
	"projector":    {"aggregator", "api", "subject", "human"},
	"tracing":      {},
	"human":        {},
	"alertmanager": {},
	"tree":         {"api", "human"},
	"function":     {"handlers", "projector", "aggregator", "config", "subject", "api", "meter", "tracing"},
	"source":       {"meter", "tracing", "lookup", "subject"},
	"lookup":       {"subject"},
	"replay":       {"handlers", "projector", "aggregator", "config", "api", "subject", "lookup", "alertmanager"},
	"":             {"function"}, // the root package
	"service":      {"handlers"},
	"cmd": {
		"cmd",
		"service",
		"function",
		"handlers",
		"projector",
		"aggregator",
		"config",
		"subject",
		"api",
		"source",
		"replay",
		"meter",
		"tracing",
		"lookup",
		"human",
		"tree",
		"version",
		"build",
	},
	"test": {
		"test",
		"service",
		"function",
		"handlers",
		"projector",
		"aggregator",
		"config",
		"subject",
		"api",
		"cmd",
		"replay",
		"meter",
		"tracing",
		"lookup",
		"alertmanager",
		"",
	},
}

// mayNotImport says what a package has nothing to do with, tests aside: each side of the fold knows its own server.
var mayNotImport = map[string][]string{
	"api": {"sigs.k8s.io/controller-runtime"},
	"subject": {
		"github.com/redis",
		"k8s.io",
		"sigs.k8s.io",
		"github.com/cloudevents",
		"knative.dev",
		"go.opentelemetry.io",
	},
	"aggregator": {"k8s.io", "sigs.k8s.io", "github.com/cloudevents", "knative.dev/func-go", "go.opentelemetry.io"},
	"handlers":   {"github.com/redis", "k8s.io/client-go", "knative.dev/func-go", "go.opentelemetry.io"},
	"projector": {
		"github.com/redis",
		"github.com/alicebob/miniredis",
		"github.com/cloudevents",
		"knative.dev/func-go",
		"go.opentelemetry.io",
	},
	"function": {"github.com/alicebob/miniredis", "knative.dev/func-go", "go.opentelemetry.io/otel/sdk"},
	"source": {
		"github.com/redis",
		"github.com/alicebob/miniredis",
		"k8s.io",
		"knative.dev/func-go",
		"go.opentelemetry.io/otel/sdk",
	},
	"replay": {"k8s.io/client-go", "knative.dev/func-go"},
	"tracing": {
		"github.com/redis",
		"k8s.io",
		"knative.dev",
		"google.golang.org/grpc",
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp",
	},
}

// notEvenInTests would make a circle of what is tested and what tests it.
var notEvenInTests = []string{"function", "cmd"}

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestImports(t *testing.T) {
	packages := list(t)
	seen := map[string]bool{}
	for _, p := range packages {
		name, ours := inside(p.ImportPath)
		require.True(t, ours, p.ImportPath)
		area := areaOf(name)
		seen[area] = true
		allowed, known := mayImport[area]
		if !assert.True(t, known, "package %q is in none of the areas of the layout: give it a line in mayImport", name) {
			continue
		}
		for _, path := range p.Imports {
			if imported, ours := inside(path); ours && areaOf(imported) != area {
				assert.Contains(t, allowed, areaOf(imported), "%q imports %q", name, imported)
			}
			assert.False(t, slices.ContainsFunc(mayNotImport[area], func(tree string) bool { return under(path, tree) }),
				"%q has nothing to do with %q", name, path)
		}
		if area == "cmd" || area == "test" || area == "" {
			continue
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if imported, ours := inside(path); ours && areaOf(imported) != area {
				assert.NotContains(t, notEvenInTests, areaOf(imported), "the tests of %q import %q", name, imported)
			}
		}
	}
	for area := range mayImport {
		assert.True(t, seen[area], "there is no package in %q any more: its line in mayImport can go", area)
	}
}

// inside is the path of a package below the module's root, if it is one of ours.
func inside(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// areaOf is the first part of a path below the root, or below internal.
func areaOf(name string) string {
	area, _, _ := strings.Cut(strings.TrimPrefix(name, "internal/"), "/")
	return area
}

func under(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

// list asks the go command for the packages of this module, those that do not compile included.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(
		t.Context(),
		"go",
		"list",
		"-e",
		"-json=ImportPath,Imports,TestImports,XTestImports",
		module+"/...",
	)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}
