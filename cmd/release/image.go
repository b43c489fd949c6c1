package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// programs are what there is an image of.
var programs = []string{"alertmanager-source", "dead-letters", "stormfold"}

// imageOf finds the image of a program in a manifest; what comes before it is the first group.
func imageOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)(image: )` + regexp.QuoteMeta(deployed) + `/` + name + `:\S+$`)
}

// imageInfos are those of the program in an image, for each platform.
func imageInfos(ctx context.Context, dir, name string) ([]*buildinfo.BuildInfo, error) {
	path, err := layout.FromPath(dir)
	if err != nil {
		return nil, err
	}
	outer, err := path.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := outer.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		return nil, errors.Join(err, fmt.Errorf("%s is not a layout of cmd/image", dir))
	}
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		return nil, err
	}
	if manifest, err = index.IndexManifest(); err != nil {
		return nil, err
	}
	var out []*buildinfo.BuildInfo
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			return nil, err
		}
		info, err := infoOf(ctx, image, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Platform, err)
		}
		out = append(out, info)
	}
	return out, nil
}

func infoOf(ctx context.Context, image v1.Image, name string) (*buildinfo.BuildInfo, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return nil, err
		}
		defer func() { _ = content.Close() }()
		for r := tar.NewReader(content); ctx.Err() == nil; {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if header.Name != name {
				continue
			}
			program, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			return buildinfo.Read(bytes.NewReader(program))
		}
	}
	return nil, errors.Join(ctx.Err(), fmt.Errorf("no layer has the program %s", name))
}
