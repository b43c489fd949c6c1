package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// definitions are the kinds of others that deploy/ uses: the files of a module, and the definition that each has.
var definitions = map[string]map[string]string{
	"knative.dev/serving": {
		"config/core/300-resources/service.yaml": "services.serving.knative.dev",
	},
	"knative.dev/eventing": {
		"config/core/resources/broker.yaml":          "brokers.eventing.knative.dev",
		"config/core/resources/trigger.yaml":         "triggers.eventing.knative.dev",
		"config/core/resources/eventtransform.yaml":  "eventtransforms.eventing.knative.dev",
		"config/core/resources/pingsource.yaml":      "pingsources.sources.knative.dev",
		"config/core/resources/sinkbindings.yaml":    "sinkbindings.sources.knative.dev",
		"config/core/resources/apiserversource.yaml": "apiserversources.sources.knative.dev",
	},
	// Not among the testbed's servers: only its definitions are needed, so the version stands here.
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": {
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml":     "podmonitors.monitoring.coreos.com",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml": "prometheusrules.monitoring.coreos.com",
	},
}

// InstallDefinitions makes the kinds of Knative and of the Prometheus operator that deploy/ uses known to a cluster,
// without what would work on them.
func InstallDefinitions(ctx context.Context, c *Cluster) error {
	var names []string
	for module, files := range definitions {
		dir, err := ModuleDir(ctx, module)
		if err != nil {
			return err
		}
		for file, name := range files {
			if err := c.ApplyPaths(ctx, filepath.Join(dir, file)); err != nil {
				return err
			}
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := c.AwaitCRD(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// ModuleDir is where the go command keeps a module, in the version that the testbed's servers are built from unless the
// path names one.
func ModuleDir(ctx context.Context, module string) (_ string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	if cmd.Dir, err = serversDir(); err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s%s", module, err, out, stderr.String())
	}
	var downloaded struct{ Dir string }
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&downloaded); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read where %s is: %w", module, err)
	}
	if downloaded.Dir == "" {
		return "", fmt.Errorf("the go command does not say where %s is: %s", module, out)
	}
	return downloaded.Dir, nil
}
