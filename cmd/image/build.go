package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is what the program runs as: nobody in particular, and not root.
const user = "65532:65532"

// newIndex is the image of a program for all platforms.
func newIndex(ctx context.Context, main, name string, platforms []v1.Platform) (v1.ImageIndex, error) {
	authorities, err := newLayer(file{"etc/ssl/certs/ca-certificates.crt", 0o444, certificates()})
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		program, err := build(ctx, main, platform)
		if err != nil {
			return nil, fmt.Errorf("for %s: %w", platform, err)
		}
		layer, err := newLayer(file{name, 0o555, program})
		if err != nil {
			return nil, err
		}
		image, err := newImage(name, platform, authorities, layer)
		if err != nil {
			return nil, fmt.Errorf("for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return index, nil
}

func newImage(name string, platform v1.Platform, layers ...v1.Layer) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: user, Entrypoint: []string{"/" + name}, WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":    name,
				"org.opencontainers.image.licenses": "Apache-2.0",
				"org.opencontainers.image.source":   "https://github.com/stormfold/stormfold",
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, layers...)
}

// build is a static program, without the paths of this machine, and stamped with version and commit where git knows them.
func build(ctx context.Context, main string, platform v1.Platform) ([]byte, error) {
	dir, err := os.MkdirTemp("", "stormfold-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w", "-o", program, main)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if level, ok := strings.CutPrefix(platform.Variant, "v"); ok && platform.Architecture == "arm" {
		cmd.Env = append(cmd.Env, "GOARM="+level)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w: %s", main, err, bytes.TrimSpace(out))
	}
	return os.ReadFile(program)
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
