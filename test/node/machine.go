//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	nodeName = "node-1"
	// nodeIP is the address of the bridge that all pods are at, and so the node's.
	nodeIP = "10.244.0.1"
)

// missing says in one sentence what the machine lacks for a node, if it does.
func missing() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root: it makes mounts, a network and cgroups")
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return fmt.Errorf("find out what the kernel knows: %w", err)
	}
	if !slices.Contains(strings.Fields(string(filesystems)), "overlay") {
		return errors.New("a node needs a kernel with overlayfs: /proc/filesystems does not list it")
	}
	for path, what := range map[string]string{
		"/proc/sys/net/bridge/bridge-nf-call-iptables": "a kernel with br_netfilter: modprobe br_netfilter",
		"/sys/fs/cgroup/memory":                        "cgroups of version 1 or hybrid: there is no /sys/fs/cgroup/memory",
		"/proc/self/ns/pid":                            "a kernel with pid namespaces",
	} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return errors.New("a node needs " + what)
		}
	}
	return nil
}

// noOtherKubelet fails when pods run on this machine: the cgroups of pods are the machine's, and a kubelet ends what it
// does not know.
func noOtherKubelet() error {
	var lists []string
	for _, pattern := range []string{"/*/*", "/*/*/*"} { // Of guaranteed pods, and of the others.
		found, err := filepath.Glob("/sys/fs/cgroup/memory/kubepods" + pattern + "/cgroup.procs")
		if err != nil {
			return err
		}
		lists = append(lists, found...)
	}
	for _, list := range lists {
		if processes, err := os.ReadFile(list); err == nil && len(processes) > 0 {
			return errors.New("a node needs a machine without another kubelet: there are pods in /sys/fs/cgroup/memory/kubepods")
		}
	}
	return removeCgroups() // Those of a round that was killed.
}

// mountProc makes this mount namespace private, and /proc that of this pid namespace.
func mountProc() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// sysctls are what kubelet wants and no namespace has: it gets files in their place.
var sysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// setUpMachine makes the namespaces look like a machine: a /run and a /var of its own, and a bridge for pods.
func setUpMachine(dir string) error {
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	upper, work := filepath.Join(dir, "var"), filepath.Join(dir, "var-work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("overlay", "/var", "overlay", 0,
		"lowerdir=/var,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("mount /var: %w", err)
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share the mounts with containers: %w", err)
	}
	for name, value := range sysctls {
		file := filepath.Join(dir, "sysctl", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(file, "/proc/sys/"+name, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("replace %s by a file: %w", name, err)
		}
	}
	for _, args := range []string{
		"link set lo up",
		"link add cni0 type bridge", "addr add " + nodeIP + "/16 dev cni0", "link set cni0 up",
		"route add default dev cni0 src " + nodeIP,
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	for _, name := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
		if err := os.WriteFile("/proc/sys/"+name, []byte("1\n"), 0o644); err != nil {
			return fmt.Errorf("switch on %s: %w", name, err)
		}
	}
	return nil
}

// removeCgroups removes the cgroups that kubelet and containerd made; their processes have ended with the namespaces.
func removeCgroups() error {
	var errs []error
	for _, pattern := range []string{"/sys/fs/cgroup/*/kubepods", "/sys/fs/cgroup/*/k8s.io"} {
		tops, err := filepath.Glob(pattern)
		errs = append(errs, err)
		for _, top := range tops {
			var dirs []string
			errs = append(errs, filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return err
			}))
			for _, dir := range slices.Backward(dirs) {
				errs = append(errs, syscall.Rmdir(dir))
			}
		}
	}
	return errors.Join(errs...)
}
