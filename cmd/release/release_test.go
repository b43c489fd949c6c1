package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// Whatever conditions hold, the template renders the plain text with the differences of those variants.
func TestMerge(t *testing.T) {
	const plain = "a\nb\nc\nd\n"
	merged, err := merge(
		plain,
		[]variant{{".A", "a\na2\nb\nc\nd\n"}, {".B", "a\nb\nC\nd\n"}, {".C", "a\na3\nb\nc\nd\ne\n"}},
	)
	require.NoError(t, err)
	compiled, err := template.New("").Parse(merged)
	require.NoError(t, err)
	for want, on := range map[string]map[string]bool{
		plain:                     {},
		"a\na2\nb\nc\nd\n":        {"A": true},
		"a\nb\nC\nd\n":            {"B": true},
		"a\na3\nb\nc\nd\ne\n":     {"C": true},
		"a\na2\na3\nb\nC\nd\ne\n": {"A": true, "B": true, "C": true},
	} {
		var out bytes.Buffer
		require.NoError(t, compiled.Execute(&out, on))
		require.Equal(t, want, out.String())
	}
	same, err := merge(plain, []variant{{".A", plain}})
	require.NoError(t, err)
	require.Equal(t, plain, same)

	_, err = merge(plain, []variant{{".A", "a\nX\nc\nd\n"}, {".B", "a\nY\nc\nd\n"}})
	require.EqualError(t, err, `when .B, it replaces "b", as another value does`)
	_, err = merge(plain, []variant{{".A", "a\nc\nd\n"}})
	require.EqualError(t, err, `when .A, it removes "b"`)
}

// Windows has a zip with an .exe, and krew's manifest says so.
func TestWindows(t *testing.T) {
	o := options{
		version: "v1.0.0", out: t.TempDir(), url: "https://example.com/v1.0.0", platforms: []string{"windows/amd64"},
	}
	name := o.archiveName("windows", "amd64")
	require.Equal(t, "kubectl-stormfold_v1.0.0_windows_amd64.zip", name)
	path := filepath.Join(o.out, name)
	date := time.Date(2026, 3, 1, 10, 16, 0, 0, time.UTC)
	require.NoError(
		t,
		writeZip(path, date, []entry{{name: "kubectl-stormfold.exe", mode: 0o755, content: []byte("program")}}),
	)
	archive, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, archive.Close()) }()
	require.Len(t, archive.File, 1)
	require.Equal(t, date, archive.File[0].Modified.UTC())
	require.Equal(t, os.FileMode(0o755), archive.File[0].Mode())
	content, err := archive.File[0].Open()
	require.NoError(t, err)
	program, err := io.ReadAll(content)
	require.NoError(t, err)
	require.Equal(t, "program", string(program))

	require.NoError(t, writeKrew(t.Context(), &o))
	manifest, err := os.ReadFile(filepath.Join(o.out, "krew.yaml"))
	require.NoError(t, err)
	var read krewPlugin
	require.NoError(t, yaml.UnmarshalStrict(manifest, &read))
	sum, err := checksum(path)
	require.NoError(t, err)
	require.Equal(t, []krewPlatform{{
		Selector: krewSelector{map[string]string{"os": "windows", "arch": "amd64"}},
		URI:      "https://example.com/v1.0.0/" + name, SHA256: sum, Bin: "kubectl-stormfold.exe",
	}}, read.Spec.Platforms)
}

func TestOptions(t *testing.T) {
	for want, run := range map[string]func() error{
		`-version: "1.0" is not a semantic version with a v in front, for instance v0.1.0`: func() error {
			return run(t.Context(), options{version: "1.0"}, "")
		},
		`-only: there is no step "helm", they are images, cli, manifests, chart, krew, sbom, checksums`: func() error {
			return run(t.Context(), options{version: "v1.0.0"}, "helm")
		},
		`images: there is no image in /nowhere, run make image`: func() error {
			return run(t.Context(), options{version: "v1.0.0", out: t.TempDir(), images: "/nowhere"}, "images")
		},
	} {
		require.EqualError(t, run(), want)
	}
}
