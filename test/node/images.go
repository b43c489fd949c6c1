//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/stormfold/stormfold/test/testbed"
)

// servingPods and eventingPods are the programs that run in pods, by the last part of the package that their manifests
// name.
var (
	servingPods = map[string]string{
		"activator": "serving-activator", "autoscaler": "serving-autoscaler", "controller": "serving-controller",
		"queue": "serving-queue", "webhook": "serving-webhook",
	}
	eventingPods = map[string]string{
		"controller": "eventing-controller", "webhook": "eventing-webhook", "mtchannel_broker": "mt-broker-controller",
		"mtping": "pingsource-mt-adapter", "apiserver_receive_adapter": "apiserversource-adapter",
		"broker/ingress": "mt-broker-ingress", "broker/filter": "mt-broker-filter",
		"in_memory/channel_controller": "imc-controller", "in_memory/channel_dispatcher": "imc-dispatcher",
	}
	nodePrograms = []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "kubelet", "kube-proxy", "kube-scheduler", "func",
	}
	systemPrograms = []string{
		"containerd",
		"ctr",
		"runc",
		"/usr/lib/cni/bridge",
		"nft",
		"ip",
		"busybox",
		"redis-server",
		"redis-cli",
	}
)

// toolbox is the image with a shell: the pause container's, and that of the pod from which the round sends.
const toolbox = "dev.local/toolbox:v1"

// prepare builds every program and image. What it needs of the network it needs here.
func prepare(ctx context.Context, dir string, p *plan) error {
	p.Dir = filepath.Join(dir, "round")
	names := slices.Clone(nodePrograms)
	for _, pods := range []map[string]string{servingPods, eventingPods} {
		for _, name := range pods {
			names = append(names, name)
		}
	}
	var err error
	if p.Programs, err = testbed.Build(names...); err != nil {
		return err
	}
	if p.Programs["coredns"], err = testbed.BuildModule("test/node/coredns"); err != nil {
		return err
	}
	for _, name := range systemPrograms {
		if p.Programs[name], err = testbed.Program(name); err != nil {
			return err
		}
	}
	// The go command, unlike this program, knows the project's root wherever it was started.
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the project: %w", err)
	}
	p.Project = strings.TrimSpace(string(root))
	target, pattern := "image", "bin/image/%s.tar"
	if p.Round == "release" {
		target, pattern = "release", "bin/release/stormfold_*_image_%s.tar"
		p.Release = filepath.Join(p.Project, "bin/release")
		if p.Programs["helm"], err = testbed.Helm(); err != nil {
			return err
		}
	}
	platform := "linux/" + runtime.GOARCH
	if out, err := exec.CommandContext(ctx, "make", "-C", p.Project, target,
		"IMAGE_PLATFORMS="+platform, "CLI_PLATFORMS="+platform).CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", target, err, out)
	}
	for _, name := range []string{"stormfold", "alertmanager-source", "dead-letters"} {
		archive, err := only(p.Project, fmt.Sprintf(pattern, name))
		if err != nil {
			return err
		}
		p.Images = append(p.Images, archive)
	}
	add := func(i image) error {
		path := filepath.Join(dir, strings.NewReplacer("/", "-", ":", "-").Replace(i.name)+".tar")
		p.Images = append(p.Images, path)
		return i.write(path)
	}
	for area, pods := range map[string]map[string]string{"serving": servingPods, "eventing": eventingPods} {
		for pkg, name := range pods {
			if err := add(programImage("dev.local/"+area+"/"+pkg+":v1", p.Programs[name])); err != nil {
				return err
			}
		}
	}
	if err := add(toolboxImage(p.Programs["busybox"])); err != nil {
		return err
	}
	redis, err := redisImage(*p)
	if err != nil {
		return err
	}
	p.Redis = redis.name
	return add(redis)
}

// only is the only file of a directory whose name matches.
func only(dir, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files match %s in %s, want 1", len(found), pattern, dir)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

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
