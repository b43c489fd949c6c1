// Package docs runs the commands of the documentation exactly as printed, in a copy of the project, against real
// servers: those that need a cluster against an API server that knows Knative's kinds. There are no nodes and none of
// Knative's controllers; what they would do, the tests do in their place, or the command is in the list of those that
// cannot run here, with the reason.
package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

const root = "../.."

var cluster *testbed.Cluster

func TestMain(m *testing.M) {
	var controllers *testbed.Process
	status := testbed.RunWithControlPlane(m, func(c *testbed.Cluster) (err error) {
		cluster = c
		// Namespaces that are deleted go for good.
		controllers, err = c.StartControllerManager(context.Background())
		return errors.Join(err, testbed.InstallDefinitions(context.Background(), c))
	})
	if controllers != nil {
		if err := controllers.Kill(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// bed is what the commands run in.
type bed struct {
	tree  string
	redis *testbed.RedisServer
	// Where make run takes events.
	function string
	// Environment: everything, and without the servers, for commands that bring their own.
	env, bare []string
	// The function in place of its pod, which outlives the section that has started it.
	pod        *testbed.Process
	t          *testing.T
	imagesMade bool
}

// goEnv is one of the go command's variables, which depends on HOME where it is not set.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, tree: testbed.CopyTree(t, root), redis: testbed.Redis(t)}
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)) }
	b.function = address()
	built, err := testbed.Build("kubectl", "func")
	require.NoError(t, err)
	path := b.tree + ":" + b.redisCLI(t)
	for _, binary := range built {
		path += ":" + filepath.Dir(binary)
	}
	for _, name := range []string{"jq", "openssl"} {
		program, err := testbed.Program(name)
		require.NoError(t, err)
		path += ":" + filepath.Dir(program)
	}
	b.bare = []string{
		"PATH=" + path + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KUBECACHEDIR=" + t.TempDir(),
		"LISTEN_ADDRESS=" + b.function, "DEV_WEBHOOK_ADDRESS=" + address(), "DEV_API_ADDRESS=" + address(),
		"STORMFOLD_METRICS_ADDRESS=" + address(),
		// Go's caches stay where they are, and packages that were compiled elsewhere count.
		"GOCACHE=" + goEnv(
			t,
			"GOCACHE",
		), "GOMODCACHE=" + goEnv(t, "GOMODCACHE"), "GOPATH=" + goEnv(t, "GOPATH"), "GOFLAGS=-trimpath",
	}
	b.env = append(
		b.bare[:len(b.bare):len(b.bare)],
		"KUBECONFIG="+cluster.KubeconfigPath,
		"STORMFOLD_REDIS_URL="+b.redis.URL,
	)
	for _, name := range []string{"KUBECONFIG", "STORMFOLD_REDIS_URL"} {
		t.Setenv(name, "") // So that it comes back after the test.
		require.NoError(t, os.Unsetenv(name))
	}
	// What has to be compiled does not count against the time of a command.
	b.shell(t, b.env).run(t, "go build -o /dev/null ./cmd/dev && go build -o /dev/null ./cmd/stormctl")
	return b
}

// redisCLI returns a directory with a redis-cli that talks to the Redis of this test unless it is given another.
func (b *bed) redisCLI(t *testing.T) string {
	t.Helper()
	program, err := testbed.Program("redis-cli")
	require.NoError(t, err)
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec %s -u %s \"$@\"\n", program, b.redis.URL)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "redis-cli"), []byte(script), 0o755))
	return dir
}
