package testbed

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// packages are the programs that are built from the nested module, by the name that their executable gets.
var packages = map[string]string{
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	"func":                    "knative.dev/func/cmd/func",

	"eventing-webhook":        "knative.dev/eventing/cmd/webhook",
	"eventing-controller":     "knative.dev/eventing/cmd/controller",
	"imc-controller":          "knative.dev/eventing/cmd/in_memory/channel_controller",
	"imc-dispatcher":          "knative.dev/eventing/cmd/in_memory/channel_dispatcher",
	"mt-broker-controller":    "knative.dev/eventing/cmd/mtchannel_broker",
	"mt-broker-filter":        "knative.dev/eventing/cmd/broker/filter",
	"mt-broker-ingress":       "knative.dev/eventing/cmd/broker/ingress",
	"pingsource-mt-adapter":   "knative.dev/eventing/cmd/mtping",
	"apiserversource-adapter": "knative.dev/eventing/cmd/apiserver_receive_adapter",
}

// nodePackages are what a node with Knative Serving needs beside them; only test/node builds them.
var nodePackages = map[string]string{
	"kubelet":        "k8s.io/kubernetes/cmd/kubelet",
	"kube-proxy":     "k8s.io/kubernetes/cmd/kube-proxy",
	"kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",

	"serving-activator":  "knative.dev/serving/cmd/activator",
	"serving-autoscaler": "knative.dev/serving/cmd/autoscaler",
	"serving-controller": "knative.dev/serving/cmd/controller",
	"serving-queue":      "knative.dev/serving/cmd/queue",
	"serving-webhook":    "knative.dev/serving/cmd/webhook",
}

// packageOf is the package of a program, "" when there is none of that name.
func packageOf(name string) string { return cmp.Or(packages[name], nodePackages[name]) }

// buildFlags are the same for every program and everywhere, or the Go build cache holds everything twice.
const buildFlags = "-mod=readonly -trimpath -buildvcs=false"

// Binaries returns the names of the programs that the tests need, sorted. Build knows those of a node too.
func Binaries() []string {
	names := make([]string, 0, len(packages))
	for name := range packages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Binary returns the path of a program of the nested module, as Build does.
func Binary(name string) (string, error) {
	paths, err := Build(name)
	return paths[name], err
}

// Build returns the paths of programs of the nested module by name, and builds those first whose version is not in the
// cache, all at once. Cold, a few take some minutes and about 2 GiB of memory; with a warm Go build cache, some
// seconds. Parallel callers build once. A path's base is the name, in a directory of its version.
func Build(names ...string) (map[string]string, error) {
	for _, name := range names {
		if packageOf(name) == "" {
			return nil, fmt.Errorf("unknown binary %q, known: %s", name, strings.Join(Binaries(), ", "))
		}
	}
	dir, err := serversDir()
	if err != nil {
		return nil, err
	}
	return buildIn(dir, packageOf, names...)
}

// BuildModule returns the path of the program that a nested module of the project is, and builds it as Build does. The
// directory is relative to the project's root; the program has its last element as its name.
func BuildModule(dir string) (string, error) {
	root, err := projectDir()
	if err != nil {
		return "", err
	}
	name := filepath.Base(dir)
	paths, err := buildIn(filepath.Join(root, dir), func(string) string { return "." }, name)
	return paths[name], err
}

func buildIn(dir string, packageOf func(name string) string, names ...string) (map[string]string, error) {
	home, err := Home()
	if err != nil {
		return nil, err
	}
	recipe, err := readRecipe(dir)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(home, "bin", recipe.key)
	paths := make(map[string]string, len(names))
	for _, name := range names {
		paths[name] = filepath.Join(bin, name)
	}
	if missing, err := absent(paths); len(missing) == 0 || err != nil {
		return paths, err
	}
	err = exclusive(home, func() error {
		missing, err := absent(paths)
		if len(missing) == 0 || err != nil {
			return err
		}
		list := strings.Join(missing, ", ")
		fmt.Fprintf(os.Stderr, "testbed: building %s, once, some minutes\n", list)
		start := time.Now()
		if err := recipe.build(bin, packageOf, missing); err != nil {
			return fmt.Errorf("build %s: %w", list, err)
		}
		fmt.Fprintf(os.Stderr, "testbed: built %s in %s\n", list, time.Since(start).Round(time.Second))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return paths, nil
}

// absent returns the sorted names whose path is not there yet.
func absent(paths map[string]string) ([]string, error) {
	var missing []string
	for name, path := range paths {
		found, err := executable(path)
		if err != nil {
			return nil, err
		}
		if !found {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// recipe is what decides how a binary comes out.
type recipe struct {
	dir     string // The nested module's directory.
	ldflags string
	key     string // A hash of all that goes into a build, except the Go version.
}

var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`)

// readRecipe takes the versions from a nested module. The Kubernetes version has to be stamped into the binaries:
// without it they call themselves v0.0.0, and clients that compare versions misbehave.
func readRecipe(dir string) (recipe, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return recipe{}, fmt.Errorf("read the servers' versions: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return recipe{}, fmt.Errorf("read the servers' versions: %w", err)
	}
	ldflags := "-s -w"
	if version := kubernetesVersion.FindSubmatch(mod); version != nil {
		const stamp = " -X k8s.io/component-base/version."
		ldflags += fmt.Sprintf(
			"%sgitVersion=%s%sgitMajor=%s%sgitMinor=%s",
			stamp,
			version[1],
			stamp,
			version[2],
			stamp,
			version[3],
		)
	}

	hash := sha256.New()
	for _, part := range [][]byte{mod, sum, []byte(buildFlags), []byte(ldflags), []byte(runtime.GOOS + "/" +
		runtime.GOARCH)} {
		fmt.Fprintf(hash, "%d:", len(part))
		hash.Write(part)
	}
	return recipe{dir: dir, ldflags: ldflags, key: hex.EncodeToString(hash.Sum(nil))[:16]}, nil
}

// build writes the executables of programs into a directory. They are built in a place of their own and renamed, so
// that a path that exists is complete.
func (r recipe) build(bin string, packageOf func(name string) string, names []string) (err error) {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(bin, "building-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	for len(names) > 0 {
		// The go command names executables by their packages; those of one name are built one after the other.
		var later []string
		together := map[string]string{}
		args := []string{"build", "-ldflags", r.ldflags, "-o", temp + "/"}
		for _, name := range names {
			pkg := packageOf(name)
			file := executableOf(pkg)
			if pkg == "." {
				file = name
			}
			if _, taken := together[file]; taken {
				later = append(later, name)
				continue
			}
			together[file] = name
			args = append(args, pkg)
		}
		cmd := exec.Command("go", args...)
		cmd.Dir = r.dir
		cmd.Env = append(os.Environ(), "GOFLAGS="+buildFlags, "CGO_ENABLED=0", "GOWORK=off",
			"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		if output, err := combinedOutput(cmd); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, output)
		}
		for file, name := range together {
			if err := os.Rename(filepath.Join(temp, file), filepath.Join(bin, name)); err != nil {
				return err
			}
		}
		names = later
	}
	return nil
}

var majorVersion = regexp.MustCompile(`/v\d+$`)

// executableOf is the name that the go command gives to the executable of a package when it is told a directory only.
func executableOf(pkg string) string { return path.Base(majorVersion.ReplaceAllString(pkg, "")) }
