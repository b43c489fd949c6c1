package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// AlertmanagerServer is an Alertmanager on a loopback port.
type AlertmanagerServer struct {
	URL        string // The root of its pages and API, without a slash at the end.
	ConfigPath string // The configuration file, read again by POST to /-/reload.

	*Process // The running or last process, with Stop, Kill, Pause, Log and so on.

	command Command
}

// StartAlertmanager starts an Alertmanager with a configuration, given as YAML, that keeps its files in a directory,
// which has to exist, and returns when it is ready. Clustering is off unless an argument sets --cluster.listen-address.
func StartAlertmanager(dir, config string, args ...string) (*AlertmanagerServer, error) {
	path, err := Program("prometheus-alertmanager")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	a := &AlertmanagerServer{URL: "http://" + loopback(port), ConfigPath: filepath.Join(dir, "alertmanager.yml")}
	if err := os.WriteFile(a.ConfigPath, []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("write Alertmanager's configuration: %w", err)
	}
	flags := []string{
		"--config.file=" + a.ConfigPath,
		"--storage.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + loopback(port),
	}
	// Alertmanager refuses a flag that is given twice.
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--cluster.listen-address") }) {
		flags = append(flags, "--cluster.listen-address=")
	}
	a.command = Command{Name: fmt.Sprintf("alertmanager-%d", port), Path: path, Args: append(flags, args...), Dir: dir}
	if err := a.Start(); err != nil {
		return nil, err
	}
	return a, nil
}

// Alertmanager is StartAlertmanager for tests: the server ends with the test.
func Alertmanager(t testing.TB, config string, args ...string) *AlertmanagerServer {
	t.Helper()
	a, err := StartAlertmanager(t.TempDir(), config, args...)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() {
		if err := a.Kill(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		a.LogOnFailure(t)
	})
	return a
}

// Start starts the server again after Stop or Kill, on the same port and with the same files, and returns when it is
// ready.
func (a *AlertmanagerServer) Start() error {
	if a.Process != nil && a.Running() {
		return fmt.Errorf("start %s: it is running", a.command.Name)
	}
	p, err := StartProcess(a.command)
	if err != nil {
		return err
	}
	a.Process = p
	err = awaitReady(p, func(ctx context.Context) error { return httpOK(ctx, a.URL+"/-/ready") })
	if err != nil {
		return errors.Join(err, p.Kill())
	}
	return nil
}

// Restart ends the server by SIGTERM, upon which it saves its state, and starts it again.
func (a *AlertmanagerServer) Restart() error {
	if err := a.Stop(); err != nil {
		return err
	}
	return a.Start()
}

// httpOK reports as an error when a GET is not answered by status 200.
func httpOK(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", url, response.Status, body)
	}
	return nil
}
