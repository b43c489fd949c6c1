package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestInstallYAML: the one file of a release is one apply on a cluster that has Knative and nothing of ours, and again without a
// change.
func TestInstallYAML(t *testing.T) {
	t.Parallel()
	out := release(t, "manifests", "-repository", "registry.example/storm", "-version", "v0.2.0")
	for file, dir := range map[string]string{"install.yaml": "production", "trial.yaml": "trial"} {
		t.Run(file, func(t *testing.T) {
			fresh := testbed.ControlPlane(t)
			require.NoError(t, testbed.InstallDefinitions(t.Context(), fresh))
			path := filepath.Join(out, file)
			for line := range strings.Lines(fresh.Kubectl(t, "apply", "--filename", path)) {
				require.Regexp(t, " created\n$", line)
			}
			require.NotContains(t, fresh.Kubectl(t, "apply", "--filename", path), "created")

			content, err := os.ReadFile(path)
			require.NoError(t, err)
			have, err := decode(string(content))
			require.NoError(t, err)
			renamed := regexp.MustCompile(`dev\.local/([a-z-]+):v0\.1\.0`)
			want, err := decode(renamed.ReplaceAllString(cluster.Kubectl(t, "kustomize", filepath.Join(root, "deploy", dir)),
				"registry.example/storm/$1:v0.2.0"))
			require.NoError(t, err)
			require.Equal(t, byName(t, want), byName(t, have))
		})
	}
}
