package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// deployed is the repository and tag of the images in deploy/.
const deployed = "dev.local"

// writeManifests writes the kustomizations that people install, each as one file.
func writeManifests(_ context.Context, o *options) error {
	for file, of := range map[string]string{"install.yaml": "production", "trial.yaml": "trial"} {
		content, err := kustomize(types.Kustomization{Resources: []string{"deploy/" + of}})
		if err != nil {
			return err
		}
		head := fmt.Sprintf("# Stormfold %s: deploy/%s of the sources as one file.\n", o.version, of)
		if err := os.WriteFile(filepath.Join(o.out, file), []byte(head+o.withImages(content)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// withImages names the images of this release.
func (o *options) withImages(manifests string) string {
	for _, name := range programs {
		manifests = imageOf(name).ReplaceAllString(manifests, "${1}"+o.repository+"/"+name+":"+o.version)
	}
	return manifests
}

// kustomize builds a kustomization whose paths are below the root of the repository. It is read from an overlay in memory, so that
// nothing is written into the sources.
func kustomize(k types.Kustomization) (string, error) {
	k.APIVersion, k.Kind = types.KustomizationVersion, types.KustomizationKind
	content, err := yaml.Marshal(k)
	if err != nil {
		return "", err
	}
	files := filesys.MakeFsInMemory()
	if err := copyTree(files, "deploy"); err != nil {
		return "", err
	}
	if err := files.WriteFile("kustomization.yaml", content); err != nil {
		return "", err
	}
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, ".")
	if err != nil {
		return "", fmt.Errorf("kustomize %s: %w", strings.Join(append(k.Resources, k.Components...), ", "), err)
	}
	out, err := objects.AsYaml()
	return string(out), err
}

// copyTree copies a directory into memory.
func copyTree(to filesys.FileSystem, root string) error {
	return filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return to.WriteFile(filepath.ToSlash(path), content)
	})
}
