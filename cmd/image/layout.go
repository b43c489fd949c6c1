package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is one file of a layer.
type file struct {
	name    string
	mode    int64
	content []byte
}

// newLayer is a layer of one file and the directories above it, all of them of root and of no time.
func newLayer(f file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	parts := strings.Split(path.Dir(f.name), "/")
	for i := range parts {
		if dir := path.Join(parts[:i+1]...); dir != "." {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode,
		Size: int64(len(f.content))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(f.content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// write replaces a layout by one that holds an index under a name, and writes the same to a file beside it.
func write(dir string, index v1.ImageIndex, name string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// The tag for those who copy a layout, and the whole name for those who import it.
	names := map[string]string{
		"org.opencontainers.image.ref.name": name[strings.LastIndex(name, ":")+1:],
		"io.containerd.image.name":          name,
	}
	if err := to.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return err
	}
	if err := writeDockerManifest(dir, index, name); err != nil {
		return err
	}
	return archive(dir)
}

// dockerImage is an entry of manifest.json, by which docker load finds the images of an archive. A Docker that keeps
// its images in containerd reads the layout.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeDockerManifest names the image of each platform by its architecture. Docker has one image for one name, so the
// whole name is the first platform's.
func writeDockerManifest(dir string, index v1.ImageIndex, name string) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	var entries []dockerImage
	for i, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			return err
		}
		of, err := image.Manifest()
		if err != nil {
			return err
		}
		entry := dockerImage{Config: blob(of.Config.Digest), RepoTags: []string{name + "-" + m.Platform.Architecture}}
		if i == 0 {
			entry.RepoTags = []string{name, entry.RepoTags[0]}
		}
		for _, layer := range of.Layers {
			entry.Layers = append(entry.Layers, blob(layer.Digest))
		}
		entries = append(entries, entry)
	}
	content, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "manifest.json"), content, 0o644)
}

// blob is where a layout has what a digest is of.
func blob(digest v1.Hash) string { return path.Join("blobs", digest.Algorithm, digest.Hex) }

// archive writes the files of a layout to one file.
func archive(dir string) (err error) {
	out, err := os.Create(dir + ".tar")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	root := os.DirFS(dir)
	if err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644,
			Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	}); err != nil {
		return err
	}
	return w.Close()
}
