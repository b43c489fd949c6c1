package testbed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Home returns the cache directory of the testbed, creating it when it is absent.
func Home() (string, error) {
	dir := os.Getenv("STORMFOLD_TESTBED")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the testbed's cache directory (set STORMFOLD_TESTBED): %w", err)
		}
		dir = filepath.Join(cache, "stormfold", "testbed")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolve the testbed's cache directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the testbed's cache directory: %w", err)
	}
	return dir, nil
}

// serversDir finds the nested module that pins the servers' versions. The source path that the compiler recorded is
// absolute only without -trimpath, so the working directory and its parents are searched as well: `go test` runs a
// test in its package's directory.
var serversDir = sync.OnceValues(func() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Join(filepath.Dir(file), "servers"); hasGoMod(dir) {
			return dir, nil
		}
	}
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module of the servers: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if servers := filepath.Join(dir, "test", "testbed", "servers"); hasGoMod(servers) {
			return servers, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the module of the servers: no test/testbed/servers/go.mod in %s or above", start)
		}
	}
})

func hasGoMod(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// exclusive runs f while no other process on this machine, and no other goroutine of this one, runs one under the same
// cache directory. The lock goes away with its holder, so a killed build leaves nothing to clean up.
func exclusive(home string, f func() error) (err error) {
	file, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("open the testbed's lock: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	locked, err := tryLock(file)
	if err == nil && !locked {
		fmt.Fprintln(os.Stderr, "testbed: waiting for another process that builds or installs servers")
		err = lock(file)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return f()
}

func executable(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an executable: %w", err)
	}
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0, nil
}

// projectDir is the project's root, which has test/testbed/servers.
func projectDir() (string, error) {
	servers, err := serversDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(servers, "../../.."), nil
}
