package deploy

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	imagename "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/test/testbed"
)

// programs are the programs with an image.
var programs = []string{"alertmanager-source", "dead-letters", "stormfold"}

// imageDate is the creation date of the test's images.
var imageDate = time.Date(2026, 3, 1, 10, 16, 0, 0, time.UTC)

// TestImages: make image gives the same images from two copies of the sources in different places, for both
// architectures, each with a static program that runs, as nobody, and the certificate authorities.
func TestImages(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	var layouts string
	first := testbed.CopyTree(t, root)
	for _, tree := range []string{first, testbed.CopyTree(t, first)} {
		cmd := exec.CommandContext(t.Context(), "make", "-C", tree, "image")
		cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", imageDate.Unix()))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		layouts = filepath.Join(tree, "bin/image")
		for _, name := range programs {
			content, err := os.ReadFile(filepath.Join(layouts, name, "index.json"))
			require.NoError(t, err)
			archive, err := os.ReadFile(filepath.Join(layouts, name+".tar"))
			require.NoError(t, err)
			for of, is := range map[string]string{"layout": string(content), "archive": string(archive)} {
				if before, built := digests[name+of]; built {
					require.True(t, before == is, "the second %s of %s differs from the first", of, name)
				}
				digests[name+of] = is
			}
		}
	}
	for _, name := range programs {
		checkImage(t, filepath.Join(layouts, name), name)
	}
}

func checkImage(t *testing.T, dir, name string) {
	t.Helper()
	path, err := layout.FromPath(dir)
	require.NoError(t, err)
	outer, err := path.ImageIndex()
	require.NoError(t, err)
	manifest, err := outer.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	require.Equal(t, "dev.local/"+name+":v0.1.0", manifest.Manifests[0].Annotations["io.containerd.image.name"])
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	require.NoError(t, validate.Index(index))
	manifest, err = index.IndexManifest()
	require.NoError(t, err)

	platforms := map[string]v1.Image{}
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		require.NoError(t, err)
		config, err := image.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, "65532:65532", config.Config.User)
		require.Equal(t, []string{"/" + name}, config.Config.Entrypoint)
		require.Equal(t, m.Platform.String(), config.OS+"/"+config.Architecture)
		require.Equal(t, imageDate, config.Created.UTC())
		require.Equal(t, "v0.1.0", config.Config.Labels["org.opencontainers.image.version"])
		require.Equal(t, "2026-03-01T10:16:00Z", config.Config.Labels["org.opencontainers.image.created"])
		checkDockerImage(t, dir+".tar", "dev.local/"+name+":v0.1.0-"+m.Platform.Architecture, image)
		if m.Platform.Architecture == "amd64" {
			checkDockerImage(t, dir+".tar", "dev.local/"+name+":v0.1.0", image)
		}
		platforms[m.Platform.String()] = image
	}
	require.ElementsMatch(t, []string{"linux/amd64", "linux/arm64"}, slices.Collect(maps.Keys(platforms)))
	for platform, image := range platforms {
		files := extract(t, image)
		require.ElementsMatch(t, []string{"etc/ssl/certs/ca-certificates.crt", name}, slices.Collect(maps.Keys(files)))
		require.Greater(t, strings.Count(string(files["etc/ssl/certs/ca-certificates.crt"]), "BEGIN CERTIFICATE"), 100)
		program := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(program, files[name], 0o700))
		info, err := exec.CommandContext(t.Context(), "go", "version", "-m", program).CombinedOutput()
		require.NoError(t, err, "%s", info)
		require.Contains(t, string(info), "CGO_ENABLED=0")
		require.Contains(t, string(info), "GOARCH="+strings.TrimPrefix(platform, "linux/"))
		require.NotContains(t, string(files[name]), filepath.Dir(t.TempDir()), "a path of the machine that built it")
		if platform == runtime.GOOS+"/"+runtime.GOARCH {
			out, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, name+" v0.1.0 "+runtime.Version()+" "+platform+"\n", string(out))
		}
	}
}

// checkDockerImage: the image that docker load makes of an archive under a name is the layout's.
func checkDockerImage(t *testing.T, archive, named string, want v1.Image) {
	t.Helper()
	tag, err := imagename.NewTag(named)
	require.NoError(t, err)
	image, err := tarball.ImageFromPath(archive, &tag)
	require.NoError(t, err)
	require.NoError(t, validate.Image(image))
	is, err := image.ConfigName()
	require.NoError(t, err)
	be, err := want.ConfigName()
	require.NoError(t, err)
	require.Equal(t, be, is)
}

// extract returns the files of an image.
func extract(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	layers, err := image.Layers()
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		require.NoError(t, err)
		for r := tar.NewReader(content); ; {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.True(t, header.ModTime.IsZero() || header.ModTime.Unix() == 0)
			if header.Typeflag == tar.TypeReg {
				files[header.Name], err = io.ReadAll(r)
				require.NoError(t, err)
			}
		}
		require.NoError(t, content.Close())
	}
	return files
}

// TestImagesAreThoseOfDeploy: what deploy/ wants is what make image, ko and the Dockerfile build.
func TestImagesAreThoseOfDeploy(t *testing.T) {
	ours := map[string]bool{}
	for _, dir := range pieces(t) {
		for _, w := range workloads(t, render(t, dir)) {
			for _, c := range w.template.Spec.Containers {
				if name, ok := strings.CutPrefix(c.Image, "dev.local/"); ok {
					name, ok = strings.CutSuffix(name, ":v0.1.0")
					require.True(t, ok, "%s has another tag", c.Image)
					ours[name] = true
				}
			}
		}
	}
	require.ElementsMatch(t, programs, slices.Collect(maps.Keys(ours)))

	makefile := file(t, "Makefile")
	require.Contains(t, makefile, "VERSION ?= v0.1.0\n")
	for _, name := range programs {
		require.Contains(t, makefile, "./cmd/"+name)
		require.DirExists(t, filepath.Join(root, "cmd", name))
	}

	var ko struct {
		Builds []struct{ Main string } `json:"builds"`
	}
	require.NoError(t, sigsyaml.Unmarshal([]byte(file(t, ".ko.yaml")), &ko))
	var built []string
	for _, b := range ko.Builds {
		built = append(built, strings.TrimPrefix(b.Main, "./cmd/"))
	}
	require.ElementsMatch(t, programs, built)

	// The Dockerfile's Go is the one that go.mod asks for.
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(file(t, "go.mod"))
	require.Len(t, version, 2)
	require.Contains(t, file(t, "Dockerfile"), "golang:"+version[1]+"-")
}
