package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// script runs a command in the project's copy, with the variables that those before it have set.
const script = `set -o pipefail -o allexport; cd "$1"; [ ! -f "$2" ] || . "$2"; eval "$3"; status=$?; export -p >"$2"; exit $status`

// shell is where the commands of one section are typed.
type shell struct {
	tree, state string
	env         []string
}

func (b *bed) shell(t *testing.T, env []string) shell {
	// A reader's shell is not one that make started, in which another make says where it works.
	env = append(slices.Clone(env), "MAKELEVEL=", "MAKEFLAGS=", "MFLAGS=")
	return shell{b.tree, filepath.Join(t.TempDir(), "variables"), env}
}

func (s shell) args(text string) []string {
	return []string{"-c", script, "bash", s.tree, s.state, text}
}

// run runs a command to its end and returns what it printed.
func (s shell) run(t *testing.T, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", s.args(text)...)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\nprinted\n%s", text, out)
	return string(out)
}

// start starts a command that goes on until it is stopped.
func (s shell) start(t *testing.T, text string) *testbed.Process {
	t.Helper()
	return testbed.Start(t, "command", s.env, "bash", s.args(text)...)
}
