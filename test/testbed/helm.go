package testbed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
)

// Helm returns the path of the Helm of the module test/testbed/helm, and builds it first when it is not in the cache: a minute or
// two, once. It has a module of its own since it needs other versions than the servers.
func Helm() (string, error) {
	project, err := projectDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(project, "test", "testbed", "helm")
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("read the version of Helm: %w", err)
		}
		hash.Write(content)
	}
	home, err := Home()
	if err != nil {
		return "", err
	}
	hash.Write([]byte(runtime.GOOS + "/" + runtime.GOARCH))
	key := hex.EncodeToString(hash.Sum(nil))[:16]
	path := filepath.Join(home, "bin", key, "helm")
	if found, err := executable(path); found || err != nil {
		return path, err
	}
	return path, exclusive(home, func() error {
		if found, err := executable(path); found || err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "testbed: building helm, once, a minute or two")
		// A path that exists is complete.
		temp := path + ".building"
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", temp, "helm.sh/helm/v3/cmd/helm")
		cmd.Dir = dir
		cmd.Env = append(slices.Clone(os.Environ()), "GOFLAGS="+buildFlags, "CGO_ENABLED=0", "GOWORK=off",
			"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		if output, err := combinedOutput(cmd); err != nil {
			return errors.Join(fmt.Errorf("build helm: %w\n%s", err, output), os.RemoveAll(temp))
		}
		return os.Rename(temp, path)
	})
}
