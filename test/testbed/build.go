package testbed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// packages are the programs that are built from the nested module, by the name that their executable gets.
var packages = map[string]string{
	"etcd":           "go.etcd.io/etcd/server/v3",
	"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
	"kubectl":        "k8s.io/kubernetes/cmd/kubectl",
	"func":           "knative.dev/func/cmd/func",
}

// buildFlags are the same for every program and everywhere, or the Go build cache holds everything twice.
const buildFlags = "-mod=readonly -trimpath -buildvcs=false"

// Binaries returns the names that Binary knows, sorted.
func Binaries() []string {
	names := make([]string, 0, len(packages))
	for name := range packages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Binary returns the path of a program of the nested module and builds it first when this version of it is not in the
// cache. Cold, one takes some minutes and about 2 GiB of memory; with a warm Go build cache, some seconds. Parallel
// callers build it once. The path's base is the name, in a directory of its version.
func Binary(name string) (string, error) {
	pkg, ok := packages[name]
	if !ok {
		return "", fmt.Errorf("unknown binary %q, known: %s", name, strings.Join(Binaries(), ", "))
	}
	dir, err := serversDir()
	if err != nil {
		return "", err
	}
	home, err := Home()
	if err != nil {
		return "", err
	}
	recipe, err := readRecipe(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(home, "bin", recipe.key, name)
	if found, err := executable(path); found || err != nil {
		return path, err
	}
	err = exclusive(home, func() error {
		if found, err := executable(path); found || err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "testbed: building %s, once, some minutes\n", name)
		return recipe.build(pkg, path)
	})
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return path, nil
}

// recipe is what decides how a binary comes out.
type recipe struct {
	dir     string // The nested module's directory.
	ldflags string
	key     string // A hash of all that goes into a build, except the Go version.
}

var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)`)

// readRecipe takes the versions from the nested module. The Kubernetes version has to be stamped into the binaries:
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
	version := kubernetesVersion.FindSubmatch(mod)
	if version == nil {
		return recipe{}, fmt.Errorf("%s does not require k8s.io/kubernetes", filepath.Join(dir, "go.mod"))
	}
	const stamp = "-X k8s.io/component-base/version."
	ldflags := fmt.Sprintf("-s -w %sgitVersion=%s %sgitMajor=%s %sgitMinor=%s",
		stamp, version[1], stamp, version[2], stamp, version[3])

	hash := sha256.New()
	for _, part := range [][]byte{mod, sum, []byte(buildFlags), []byte(ldflags), []byte(runtime.GOOS + "/" + runtime.GOARCH)} {
		fmt.Fprintf(hash, "%d:", len(part))
		hash.Write(part)
	}
	return recipe{dir: dir, ldflags: ldflags, key: hex.EncodeToString(hash.Sum(nil))[:16]}, nil
}

// build writes the executable of a package. It is built under another name and renamed, so that a path that exists is
// complete.
func (r recipe) build(pkg, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".building"
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	cmd := exec.Command("go", "build", "-ldflags", r.ldflags, "-o", temp, pkg)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GOFLAGS="+buildFlags, "CGO_ENABLED=0", "GOWORK=off",
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if output, err := combinedOutput(cmd); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, output)
	}
	return os.Rename(temp, path)
}
