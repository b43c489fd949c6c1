package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/internal/build"
)

// plugin is what kubectl runs for kubectl stormfold, completer what it runs to complete that.
const (
	plugin    = "kubectl-stormfold"
	completer = "kubectl_complete-stormfold"
)

// archiveName is the file with the command line for a platform.
func (o *options) archiveName(system, arch string) string {
	ending := ".tar.gz"
	if system == "windows" {
		ending = ".zip"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", plugin, o.version, system, arch, ending)
}

// buildCLI writes an archive for each platform: the program, the link by which kubectl finds the completion, and the licence. The
// programs stay in bin/cli for the SBOM.
func buildCLI(ctx context.Context, o *options) error {
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	for _, platform := range o.platforms {
		system, arch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("-platforms: %q is not os/architecture, for instance linux/amd64", platform)
		}
		file := filepath.Join(o.programs(), system+"_"+arch, plugin)
		program := build.Program{Main: "./cmd/stormctl", OS: system, Arch: arch, Version: o.version}
		if err := program.Compile(ctx, file); err != nil {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		path := filepath.Join(o.out, o.archiveName(system, arch))
		if system == "windows" {
			err = writeZip(path, o.date, []entry{
				{name: plugin + ".exe", mode: 0o755, content: content}, {name: "LICENSE", mode: 0o644, content: licence},
			})
		} else {
			err = writeTarGz(path, o.date, []entry{
				{name: plugin, mode: 0o755, content: content}, {name: completer, mode: 0o777, target: plugin},
				{name: "LICENSE", mode: 0o644, content: licence},
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// programs is where the programs are beside their archives.
func (o *options) programs() string { return filepath.Join(filepath.Dir(filepath.Clean(o.out)), "cli") }

// The manifest of a plugin, as krew reads it.
type (
	krewPlugin struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]string `json:"metadata"`
		Spec       krewSpec          `json:"spec"`
	}
	krewSpec struct {
		Version          string         `json:"version"`
		Homepage         string         `json:"homepage"`
		ShortDescription string         `json:"shortDescription"`
		Description      string         `json:"description"`
		Caveats          string         `json:"caveats"`
		Platforms        []krewPlatform `json:"platforms"`
	}
	krewPlatform struct {
		Selector krewSelector `json:"selector"`
		URI      string       `json:"uri"`
		SHA256   string       `json:"sha256"`
		Bin      string       `json:"bin"`
	}
	krewSelector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	}
)

// writeKrew writes the manifest, with the checksums of the archives.
func writeKrew(_ context.Context, o *options) error {
	manifest := krewPlugin{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Metadata: map[string]string{"name": "stormfold"},
		Spec: krewSpec{
			Version: o.version, Homepage: "https://github.com/stormfold/stormfold",
			ShortDescription: "Look at incidents of alert storms",
			Description: "Stormfold turns storms of alerts into one Incident each. This plugin shows incidents as trees, explains the\n" +
				"policy and the group of an alert, checks policies files, and replays recorded notifications under them.\n",
			Caveats: "For completion, link " + completer + " to " + plugin + " in a directory of PATH.\n",
		},
	}
	for _, platform := range o.platforms {
		system, arch, _ := strings.Cut(platform, "/")
		name := o.archiveName(system, arch)
		sum, err := checksum(filepath.Join(o.out, name))
		if err != nil {
			return err
		}
		bin := plugin
		if system == "windows" {
			bin += ".exe"
		}
		manifest.Spec.Platforms = append(manifest.Spec.Platforms, krewPlatform{
			Selector: krewSelector{map[string]string{"os": system, "arch": arch}}, URI: o.url + "/" + name, SHA256: sum, Bin: bin,
		})
	}
	content, err := yaml.Marshal(manifest)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "krew.yaml"), bytes.TrimLeft(content, "\n"), 0o644)
}
