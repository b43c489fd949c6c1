package testbed

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// programs are those that come with the system, servers and what the documentation uses, each with its Debian package.
var programs = map[string]string{
	"redis-server":            "redis-server",
	"prometheus-alertmanager": "prometheus-alertmanager",
	"prometheus":              "prometheus",
	"promtool":                "prometheus",
	"redis-cli":               "redis-tools",
	"openssl":                 "openssl",
	"jq":                      "jq",
}

// nodePrograms are what a node needs beside them; only test/node asks for them.
var nodePrograms = map[string]string{
	"containerd":          "containerd",
	"ctr":                 "containerd",
	"runc":                "runc",
	"/usr/lib/cni/bridge": "containernetworking-plugins",
	"nft":                 "nftables",
	"ip":                  "iproute2",
	"busybox":             "busybox-static",
}

// redisVariable names the executable to run instead of redis-server, for instance a valkey-server.
const redisVariable = "STORMFOLD_TESTBED_REDIS"

// Programs returns the names of the programs that the tests need, sorted. Program knows those of a node too.
func Programs() []string {
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Program returns the path of a program of the system. When it is not in PATH, it is installed by apt-get where that is
// possible without touching what is not ours: as root, and where no systemd runs, which would start the packages'
// services at once. Elsewhere the error says what to install.
func Program(name string) (string, error) {
	pkg := cmp.Or(programs[name], nodePrograms[name])
	if pkg == "" {
		return "", fmt.Errorf("unknown program %q, known: %s", name, strings.Join(Programs(), ", "))
	}
	if other := os.Getenv(redisVariable); other != "" && name == "redis-server" {
		path, err := exec.LookPath(other)
		if err != nil {
			return "", fmt.Errorf("find the server that %s names: %w", redisVariable, err)
		}
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if !canInstall() {
		return "", fmt.Errorf(
			"%s is not in PATH: install it, on Debian by `apt-get install --no-install-recommends %s`",
			name,
			pkg,
		)
	}
	home, err := Home()
	if err != nil {
		return "", err
	}
	err = exclusive(home, func() error {
		if _, err := exec.LookPath(name); err == nil {
			return nil
		}
		return install(pkg)
	})
	if err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s after its installation: %w", name, err)
	}
	return path, nil
}

func canInstall() bool {
	if os.Geteuid() != 0 {
		return false
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false
	}
	_, err := os.Stat("/run/systemd/system")
	return err != nil
}

// install installs a Debian package. RUNLEVEL=1 keeps a System V init from starting its service.
func install(pkg string) error {
	fmt.Fprintf(os.Stderr, "testbed: installing Debian package %s\n", pkg)
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", pkg}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if output, err := combinedOutput(cmd); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, output)
		}
	}
	return nil
}
