package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/stormfold/stormfold/internal/build"
)

// user is what the program runs as: nobody in particular, and not root.
const user = "65532:65532"

// origin is what all images of one run carry.
type origin struct {
	version, commit string
	date            time.Time
}

// newIndex is the image of a program for all platforms.
func newIndex(ctx context.Context, main, name string, platforms []v1.Platform, from origin) (v1.ImageIndex, error) {
	authorities, err := newLayer(file{"etc/ssl/certs/ca-certificates.crt", 0o444, certificates()})
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		program, err := compile(ctx, main, platform, from.version)
		if err != nil {
			return nil, err
		}
		layer, err := newLayer(file{name, 0o555, program})
		if err != nil {
			return nil, err
		}
		image, err := newImage(name, platform, from, authorities, layer)
		if err != nil {
			return nil, fmt.Errorf("for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return index, nil
}

func newImage(name string, platform v1.Platform, from origin, layers ...v1.Layer) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	labels := map[string]string{
		"org.opencontainers.image.title":    name,
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.source":   "https://github.com/stormfold/stormfold",
		"org.opencontainers.image.version":  from.version,
		"org.opencontainers.image.created":  from.date.Format(time.RFC3339),
	}
	if from.commit != "" {
		labels["org.opencontainers.image.revision"] = from.commit
	}
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, Created: v1.Time{Time: from.date},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{User: user, Entrypoint: []string{"/" + name}, WorkingDir: "/", Labels: labels},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, layers...)
}

func compile(ctx context.Context, main string, platform v1.Platform, version string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "stormfold-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "program")
	program := build.Program{
		Main: main, OS: platform.OS, Arch: platform.Architecture, Variant: platform.Variant, Version: version,
	}
	if err := program.Compile(ctx, file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// certificates are Mozilla's authorities, of the version that go.mod pins, for a Redis or a sink with a public certificate.
// Those that Mozilla trusts for some names only are left out, since a file of certificates cannot say that.
func certificates() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.Bytes()
}
