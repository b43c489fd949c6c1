package testbed

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Passwords of the users that the scripts of deploy/redis make. That of the function is the trial's own.
const (
	FunctionPassword    = "trial"
	SentinelPassword    = "sentinel"
	replicationPassword = "replication"
)

// admin is a user that the shipped servers have in addition here, for tests that look into them, empty them and so on.
var admin = url.UserPassword("admin", "admin")

const adminRule = "user admin on >admin ~* &* +@all"

// TrialRedis starts the server of deploy/redis/trial for a test, by its own script, ACL and configuration. The settings
// are further lines of redis.conf. The URL is the function's.
func TrialRedis(t testing.TB, settings ...string) *RedisServer {
	t.Helper()
	r, err := startShipped(t.TempDir(), "trial/start.sh", Port(t), settings)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	r.endWith(t)
	return r
}

// startShipped starts a server by a script of deploy/redis. The variables are for that script, on top of those that all
// have.
func startShipped(dir, script string, port int, settings []string, env ...string) (*RedisServer, error) {
	command, err := shipped("redis", dir, script, port, settings, env...)
	if err != nil {
		return nil, err
	}
	address := url.URL{
		Scheme: "redis",
		User:   url.UserPassword("stormfold", FunctionPassword),
		Host:   loopback(port),
		Path:   "/0",
	}
	return startServer(address, admin, command)
}

// shipped is how a pod starts a script of deploy/redis: with files of ConfigMaps in CONF, and with directories that
// outlive it.
func shipped(name, dir, script string, port int, settings []string, env ...string) (Command, error) {
	root, err := projectDir()
	if err != nil {
		return Command{}, err
	}
	path, err := Program("redis-server")
	if err != nil {
		return Command{}, err
	}
	script = filepath.Join(root, "deploy/redis", script)
	// The scripts know it by this name, whichever server it is.
	bin, conf := filepath.Join(dir, "bin"), filepath.Join(dir, "conf")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return Command{}, err
	}
	if err := os.Symlink(path, filepath.Join(bin, "redis-server")); err != nil {
		return Command{}, err
	}
	if err := mountShipped(conf, filepath.Dir(script), settings); err != nil {
		return Command{}, err
	}
	return Command{
		Name: name + "-" + strconv.Itoa(port), Path: "/bin/sh", Args: []string{script}, Dir: dir,
		Env: append([]string{
			"PATH=" + bin + ":" + os.Getenv("PATH"), "BIND=127.0.0.1", "PORT=" + strconv.Itoa(port),
			"CONF=" + conf, "DATA=" + dir, "RUN=" + dir, "STORMFOLD_PASSWORD=" + FunctionPassword,
			"REPLICATION_PASSWORD=" + replicationPassword, "SENTINEL_PASSWORD=" + SentinelPassword,
		}, env...),
	}, nil
}

// mountShipped makes the directory that a pod has of the ConfigMaps of a directory of deploy/redis, with further
// settings and with the administrator.
func mountShipped(conf, from string, settings []string) error {
	config, err := os.ReadFile(filepath.Join(from, "redis.conf"))
	if err != nil {
		return err
	}
	rules, err := FunctionRules()
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"redis/redis.conf": string(config) + strings.Join(settings, "\n") + "\n",
		"acl/function.acl": strings.Join(rules, " ") + "\n" + adminRule,
	} {
		path := filepath.Join(conf, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// FunctionRules are the rules of deploy/redis/acl, without those that this machine's Redis does not know: 7.0 has no
// CLIENT SETINFO.
func FunctionRules() ([]string, error) {
	root, err := projectDir()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(root, "deploy/redis/acl/function.acl"))
	if err != nil {
		return nil, err
	}
	version, err := redisVersion()
	if err != nil {
		return nil, err
	}
	var rules []string
	for _, rule := range strings.Fields(string(content)) {
		if rule != "+client|setinfo" || !strings.Contains(version, " v=7.0.") {
			rules = append(rules, rule)
		}
	}
	return rules, nil
}

// redisVersion is the line with which the server introduces itself.
var redisVersion = sync.OnceValues(func() (string, error) {
	path, err := Program("redis-server")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return string(out), nil
})
