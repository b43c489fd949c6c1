package main

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The part of CycloneDX 1.6 that says which modules are in which program.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     bomMetadata  `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	bomMetadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl,omitempty"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

const modulePath = "github.com/stormfold/stormfold"

// writeSBOM reads the modules out of the programs themselves.
func writeSBOM(ctx context.Context, o *options) error {
	infos, err := buildInfos(ctx, o)
	if err != nil {
		return err
	}
	whole := component{Type: "application", Ref: "stormfold", Name: "stormfold", Version: o.version, PURL: purl(modulePath, o.version)}
	out := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: bomMetadata{Timestamp: o.date.Format(time.RFC3339), Component: whole},
	}
	modules := map[string]component{}
	parts := dependency{Ref: whole.Ref}
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		program := component{Type: "application", Ref: name, Name: name, Version: o.version}
		parts.DependsOn = append(parts.DependsOn, program.Ref)
		out.Components = append(out.Components, program)
		needs := map[string]bool{}
		for _, info := range infos[name] {
			golang := component{Type: "library", Name: "stdlib", Version: info.GoVersion}
			golang.Ref = purl("stdlib", strings.TrimPrefix(info.GoVersion, "go"))
			golang.PURL = golang.Ref
			modules[golang.Ref], needs[golang.Ref] = golang, true
			for _, m := range info.Deps {
				if m.Replace != nil {
					m = m.Replace
				}
				ref := purl(m.Path, m.Version)
				modules[ref], needs[ref] = component{Type: "library", Ref: ref, Name: m.Path, Version: m.Version, PURL: ref}, true
			}
		}
		out.Dependencies = append(out.Dependencies, dependency{program.Ref, slices.Sorted(maps.Keys(needs))})
	}
	out.Dependencies = append([]dependency{parts}, out.Dependencies...)
	for _, ref := range slices.Sorted(maps.Keys(modules)) {
		out.Components = append(out.Components, modules[ref])
	}
	content, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "sbom.cdx.json"), append(content, '\n'), 0o644)
}

func purl(module, version string) string {
	return "pkg:golang/" + module + "@" + strings.ReplaceAll(cmp.Or(version, "(devel)"), "+", "%2B")
}

// buildInfos are those of the command line for all platforms, and of the programs in the images.
func buildInfos(ctx context.Context, o *options) (map[string][]*buildinfo.BuildInfo, error) {
	out := map[string][]*buildinfo.BuildInfo{}
	for _, platform := range o.platforms {
		file := filepath.Join(o.programs(), strings.ReplaceAll(platform, "/", "_"), plugin)
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out[plugin] = append(out[plugin], info)
	}
	for _, name := range programs {
		infos, err := imageInfos(ctx, filepath.Join(o.images, name), name)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		out[name] = infos
	}
	return out, nil
}
