package config

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watched is a Source that looks at its file when the test says so.
type watched struct {
	*Source
	errors []string
	loads  []string
}

func watch(t *testing.T, path string) *watched {
	t.Helper()
	w := &watched{}
	var err error
	w.Source, err = NewSource(path, time.Hour,
		func(err error) { w.errors = append(w.errors, err.Error()) },
		func(p Policies) { w.loads = append(w.loads, p.List[0].Name) })
	require.NoError(t, err)
	return w
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestSourceReloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, path, "policies: [{name: a}]")
	w := watch(t, path)
	assert.Equal(t, "a", w.Current().List[0].Name)
	w.look()
	assert.Empty(t, w.loads)

	// The same size and the same time.
	info, err := os.Stat(path)
	require.NoError(t, err)
	write(t, path, "policies: [{name: b}]")
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	w.look()
	assert.Equal(t, "b", w.Current().List[0].Name)
	assert.Equal(t, []string{"b"}, w.loads)
	assert.Empty(t, w.errors)
}

func TestSourceKeepsTheLastGoodPolicies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, path, "policies: [{name: a}]")
	w := watch(t, path)

	write(t, path, "policies: [{name: A}]")
	w.look()
	w.look()
	require.Len(t, w.errors, 1, "one error for one broken content")
	assert.Contains(t, w.errors[0], path+`: line 1: policies[0].name: "A" is not a name`)
	write(t, path, "policies: [{}]")
	w.look()
	assert.Len(t, w.errors, 2)
	assert.Equal(t, "a", w.Current().List[0].Name)

	write(t, path, "policies: [{name: a}]")
	w.look()
	assert.Equal(t, []string{"a"}, w.loads, "the content is the old one, and good again")

	require.NoError(t, os.Remove(path))
	w.look()
	w.look()
	assert.Len(t, w.errors, 3)
	assert.Equal(t, "a", w.Current().List[0].Name)
	write(t, path, "policies: [{name: a}]")
	w.look()
	assert.Equal(t, []string{"a", "a"}, w.loads)
}

func TestSourceFollowsSwappedLinks(t *testing.T) {
	// As a ConfigMap's volume does: policies.yaml -> ..data/policies.yaml, ..data -> a directory of one version.
	dir := t.TempDir()
	for _, version := range []string{"a", "b"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "policies.yaml"), "policies: [{name: "+version+"}]")
	}
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "..data")))
	path := filepath.Join(dir, "policies.yaml")
	require.NoError(t, os.Symlink("..data/policies.yaml", path))
	w := watch(t, path)

	require.NoError(t, os.Symlink("b", filepath.Join(dir, "..new")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	w.look()
	assert.Equal(t, "b", w.Current().List[0].Name)
}

func TestSourceByItsOwnTicker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, path, "policies: [{name: a}]")
	loaded := make(chan Policies, 1)
	s, err := NewSource(path, time.Millisecond, nil, func(p Policies) { loaded <- p })
	require.NoError(t, err)
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	running.Go(func() { s.Run(ctx) })
	next := filepath.Join(filepath.Dir(path), "next")
	write(t, next, "policies: [{name: b}]")
	require.NoError(t, os.Rename(next, path))
	assert.Equal(t, "b", (<-loaded).List[0].Name)
	assert.Equal(t, "b", s.Current().List[0].Name)
	cancel()
	running.Wait()
}

func TestNewSource(t *testing.T) {
	_, err := NewSource(filepath.Join(t.TempDir(), "none"), time.Second, nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)

	path := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, path, "policies: []")
	_, err = NewSource(path, time.Second, nil, nil)
	require.ErrorContains(t, err, path+": line 1: policies: [] is not a list")

	s, err := NewSource("", time.Second, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, Default(), s.Current())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx)
}
