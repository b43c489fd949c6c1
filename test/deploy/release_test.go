package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestInstallYAML: the one file of a release is one apply on a cluster that has Knative and nothing of ours, and again
// without a change.
func TestInstallYAML(t *testing.T) {
	t.Parallel()
	out := release(t, "manifests", "-repository", "registry.example/storm", "-version", "v0.2.0")
	for file, dir := range map[string]string{"install.yaml": "production", "trial.yaml": "trial"} {
		t.Run(file, func(t *testing.T) {
			fresh := testbed.ControlPlane(t)
			require.NoError(t, testbed.InstallDefinitions(t.Context(), fresh))
			path := filepath.Join(out, file)
			for line := range strings.Lines(fresh.Kubectl(t, "apply", "--filename", path)) {
				require.Regexp(t, " created\n$", line)
			}
			require.NotContains(t, fresh.Kubectl(t, "apply", "--filename", path), "created")

			content, err := os.ReadFile(path)
			require.NoError(t, err)
			have, err := decode(string(content))
			require.NoError(t, err)
			renamed := regexp.MustCompile(`dev\.local/([a-z-]+):v0\.1\.0`)
			want, err := decode(
				renamed.ReplaceAllString(cluster.Kubectl(t, "kustomize", filepath.Join(root, "deploy", dir)),
					"registry.example/storm/$1:v0.2.0"),
			)
			require.NoError(t, err)
			require.Equal(t, byName(t, want), byName(t, have))
		})
	}
}

// TestRelease: make release writes all files of docs/release.md. It builds for this platform alone: others take long.
func TestRelease(t *testing.T) {
	t.Parallel()
	tree := testbed.CopyTree(t, root)
	platform := runtime.GOOS + "/" + runtime.GOARCH
	cmd := exec.CommandContext(t.Context(), "make", "-C", tree, "release", "VERSION=v0.3.0",
		"IMAGE_PLATFORMS=linux/"+runtime.GOARCH, "CLI_PLATFORMS="+platform)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1772360160")
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	out := filepath.Join(tree, "bin/release")
	entries, err := os.ReadDir(out)
	require.NoError(t, err)
	sums := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(out, e.Name()))
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		sums[e.Name()] = hex.EncodeToString(sum[:])
	}
	program := "kubectl-stormfold_v0.3.0_" + strings.ReplaceAll(platform, "/", "_") + ".tar.gz"
	want := []string{
		"checksums.txt", "install.yaml", "krew.yaml", program, "sbom.cdx.json", "stormfold-0.3.0.tgz",
		"stormfold_v0.3.0_image_alertmanager-source.tar", "stormfold_v0.3.0_image_dead-letters.tar",
		"stormfold_v0.3.0_image_stormfold.tar", "trial.yaml",
	}
	require.Len(t, sums, len(want))
	for _, name := range want {
		require.Contains(t, sums, name)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "checksums.txt")
	check.Dir = out
	printed, err = check.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	require.Equal(t, len(want)-1, strings.Count(string(printed), ": OK\n"))

	checkCLI(t, filepath.Join(out, program), platform)
	checkKrew(t, filepath.Join(out, "krew.yaml"), map[string]string{program: sums[program]})
	checkSBOM(t, filepath.Join(out, "sbom.cdx.json"))
}

// checkCLI: the archive has a plugin that says its version and completes.
func checkCLI(t *testing.T, archive, platform string) {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	run("tar", "-xzf", archive)
	require.FileExists(t, filepath.Join(dir, "LICENSE"))
	require.Equal(t, "kubectl stormfold v0.3.0 "+runtime.Version()+" "+platform+"\n",
		run("./kubectl-stormfold", "version"))
	require.Contains(t, run("./kubectl_complete-stormfold", "tr"), "tree\t")
}

// checkKrew: the manifest has a platform for each archive, with its checksum.
func checkKrew(t *testing.T, path string, sums map[string]string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, Homepage, ShortDescription, Description, Caveats string
			Platforms                                                 []struct {
				Selector         struct{ MatchLabels map[string]string }
				URI, SHA256, Bin string
			}
		}
	}
	require.NoError(t, sigsyaml.UnmarshalStrict(content, &manifest))
	require.Equal(t, "stormfold", manifest.Metadata.Name)
	require.Equal(t, "v0.3.0", manifest.Spec.Version)
	require.Less(t, len(manifest.Spec.ShortDescription), 51, "krew's tables cut more")
	require.Len(t, manifest.Spec.Platforms, len(sums))
	for _, p := range manifest.Spec.Platforms {
		name := p.URI[strings.LastIndex(p.URI, "/")+1:]
		require.Equal(t, "https://github.com/stormfold/stormfold/releases/download/v0.3.0/"+name, p.URI)
		require.Equal(t, sums[name], p.SHA256)
		require.Contains(t, name, "_"+p.Selector.MatchLabels["os"]+"_"+p.Selector.MatchLabels["arch"]+".")
		require.Equal(t, p.Selector.MatchLabels["os"] == "windows", strings.HasSuffix(p.Bin, ".exe"))
	}
}

// checkSBOM: each program is there with its modules, and each reference has its component.
func checkSBOM(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var bom struct {
		BOMFormat, SpecVersion string
		Metadata               struct {
			Timestamp string
			Component struct {
				Ref string `json:"bom-ref"`
			}
		}
		Components []struct {
			Ref                       string `json:"bom-ref"`
			Type, Name, Version, PURL string
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	require.NoError(t, json.Unmarshal(content, &bom))
	require.Equal(t, "CycloneDX 1.6", bom.BOMFormat+" "+bom.SpecVersion)
	require.Equal(t, "2026-03-01T10:16:00Z", bom.Metadata.Timestamp)
	known := map[string]bool{bom.Metadata.Component.Ref: true}
	for _, c := range bom.Components {
		require.False(t, known[c.Ref], "%s is there twice", c.Ref)
		known[c.Ref] = true
	}
	needs := map[string][]string{}
	for _, d := range bom.Dependencies {
		require.True(t, known[d.Ref], d.Ref)
		for _, ref := range d.DependsOn {
			require.True(t, known[ref], ref)
		}
		needs[d.Ref] = d.DependsOn
	}
	require.Equal(t, []string{"alertmanager-source", "dead-letters", "kubectl-stormfold", "stormfold"},
		needs[bom.Metadata.Component.Ref])
	require.NotEmpty(t, needs["stormfold"])
}

// TestWorkflow: the CI runs what people run, with the Go of go.mod.
func TestWorkflow(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Container string
			Steps     []struct{ Run string }
		}
	}
	require.NoError(t, sigsyaml.Unmarshal([]byte(file(t, ".github/workflows/ci.yml")), &workflow))
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(file(t, "go.mod"))
	runs := map[string]string{}
	for name, job := range workflow.Jobs {
		require.Equal(t, "golang:"+version[1]+"-bookworm", job.Container, name)
		for _, step := range job.Steps {
			runs[name] += step.Run + "\n"
		}
	}
	require.Contains(t, runs["ci"], ".ci/run\n")
	require.Contains(t, runs["release"], "make release ")
}
