//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// image is an image of one layer.
type image struct {
	name       string
	user       string
	entrypoint []string
	files      []file
}

// file is one of an image's files: content, a copy of another file, a link, or a directory.
type file struct {
	name    string
	content string
	copyOf  string
	link    string
	mode    int64
}

// directory is for files that the program writes.
func directory(name string) file { return file{name: name + "/", mode: 0o1777} }

func programImage(name, path string) image {
	return image{name: name, user: "65532:65532", entrypoint: []string{"/app"}, files: []file{
		directory("tmp"), directory("var/run"),
		{name: "etc/passwd", content: "nonroot:x:65532:65532:nonroot:/:/none\n", mode: 0o644},
		{name: "app", copyOf: path, mode: 0o755},
	}}
}

func shell(busybox string, applets ...string) []file {
	files := []file{directory("tmp"), {name: "bin/busybox", copyOf: busybox, mode: 0o755}}
	for _, applet := range applets {
		files = append(files, file{name: "bin/" + applet, link: "busybox"})
	}
	return files
}

func toolboxImage(busybox string) image {
	return image{
		name:       toolbox,
		entrypoint: []string{"/bin/busybox", "sleep", "2000000000"},
		files:      shell(busybox, "sh", "cat", "wget", "timeout"),
	}
}

// library finds the files that ldd lists.
var library = regexp.MustCompile(`/\S+`)

// redisImage is the image that deploy/redis names, of this machine's Redis and the libraries that it needs. Where that
// is 7.0, it does not know the rule +client|setinfo of deploy/redis/acl: the server is started without that one.
func redisImage(p plan) (image, error) {
	manifest, err := os.ReadFile(filepath.Join(p.Project, "deploy/redis/trial/statefulset.yaml"))
	if err != nil {
		return image{}, err
	}
	name := regexp.MustCompile(`image: (redis:\S+)`).FindSubmatch(manifest)
	if name == nil {
		return image{}, fmt.Errorf("deploy/redis/trial names no image of Redis")
	}
	i := image{
		name:  "docker.io/library/" + string(name[1]),
		files: shell(p.Programs["busybox"], "sh", "cat", "grep", "sed", "mv", "sleep"),
	}
	libraries := map[string]bool{}
	for program, path := range map[string]string{
		"redis-server.real": p.Programs["redis-server"], "redis-cli": p.Programs["redis-cli"], "getent": "/usr/bin/getent",
	} {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return image{}, err
		}
		out, err := exec.Command("ldd", real).Output()
		if err != nil {
			return image{}, fmt.Errorf("ldd %s: %w", real, err)
		}
		for _, lib := range library.FindAllString(string(out), -1) {
			libraries[lib] = true
		}
		i.files = append(i.files, file{name: "usr/local/bin/" + program, copyOf: real, mode: 0o755})
	}
	for lib := range libraries {
		i.files = append(i.files, file{name: strings.TrimPrefix(lib, "/"), copyOf: lib, mode: 0o755})
	}
	i.files = append(i.files,
		file{name: "usr/local/bin/redis-server", mode: 0o755, content: `#!/bin/sh
for f in "$@" /data/users.acl; do
	case $f in *.acl) [ ! -f "$f" ] || sed -i 's/+client|setinfo //' "$f" ;; esac
done
exec redis-server.real "$@"
`},
		file{name: "etc/nsswitch.conf", content: "hosts: files dns\n", mode: 0o644},
		file{name: "etc/passwd", content: "redis:x:999:1000:redis:/data:/bin/sh\n", mode: 0o644},
		file{name: "etc/group", content: "redis:x:1000:\n", mode: 0o644},
		directory("data"), directory("run/redis"))
	return i, nil
}

// write writes the image as an archive in Docker's format, which containerd imports.
func (i image) write(path string) error {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range i.files {
		content := []byte(f.content)
		h := &tar.Header{Name: f.name, Mode: f.mode, Typeflag: tar.TypeReg}
		switch {
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		case f.link != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.link, 0o777
		case f.copyOf != "":
			var err error
			if content, err = os.ReadFile(f.copyOf); err != nil {
				return err
			}
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"Entrypoint": i.entrypoint, "User": i.user, "WorkingDir": "/", "Env": []string{"PATH=/usr/local/bin:/bin"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer.Bytes())}},
	})
	if err != nil {
		return err
	}
	const layerName = "layer.tar"
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": digest(config) + ".json", "RepoTags": []string{i.name}, "Layers": []string{layerName},
	}})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w = tar.NewWriter(&out)
	for _, f := range []file{{name: digest(config) + ".json", content: string(config)}, {name: layerName},
		{name: "manifest.json", content: string(manifest)}} {
		content := []byte(f.content)
		if f.name == layerName {
			content = layer.Bytes()
		}
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(content)),
			Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
