package source

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// write replaces a file as a mounted Secret is replaced: at once.
func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestToken(t *testing.T) {
	sink := newRecorder(t)
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "first\n")
	s := newSource(t, sink.URL, tokenKey, path)
	body := aWebhook(anAlert(0, 0))
	try := func(header string) (int, string) {
		if header == "" {
			return post(s, body)
		}
		return post(s, body, "Authorization", header)
	}
	for header, want := range map[string]int{
		"Bearer first": 200, "bearer first": 200, "Bearer  first": 200,
		"": 401, "first": 401, "Bearer": 401, "Bearer ": 401, "Bearer firs": 401, "Bearer first2": 401, "Bearer FIRST": 401,
		"Basic first": 401, "Bearer first second": 401,
	} {
		code, text := try(header)
		assert.Equal(t, want, code, "%q: %s", header, text)
		assert.NotContains(t, text, "first")
	}
	assert.Len(t, sink.accepted(), 3)
	assert.InDelta(t, 9, valueOf(t, s.metrics.notifications["unauthorized"]), 0)

	write(t, path, "second\nfirst\n")
	for _, header := range []string{"Bearer first", "Bearer second"} {
		code, text := try(header)
		assert.Equal(t, http.StatusOK, code, text)
	}
	write(t, path, "second")
	code, _ := try("Bearer first")
	assert.Equal(t, http.StatusUnauthorized, code, "it was taken out of the file")

	for _, broken := range []string{"", " \n\n", strings.Repeat("x", maxTokens+1)} {
		write(t, path, broken)
		code, text := try("Bearer " + broken)
		assert.Equal(t, http.StatusServiceUnavailable, code, "a file that is being changed is no reason to lose alerts")
		assert.Contains(t, text, "the tokens that are accepted cannot be read: ")
	}
	require.NoError(t, os.Remove(path))
	code, _ = try("Bearer second")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	write(t, path, "second")
	code, text := try("Bearer second")
	assert.Equal(t, http.StatusOK, code, text)
}

// TestATokenComesFirst: who has none learns nothing about the place and takes none of it.
func TestATokenComesFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "first")
	s := newSource(t, "http://127.0.0.1:1", tokenKey, path, prefix+"CONCURRENCY", "1")
	s.places <- struct{}{}
	code, _ := post(s, "no webhook")
	assert.Equal(t, http.StatusUnauthorized, code)
	code, _ = post(s, "no webhook", "Authorization", "Bearer first")
	assert.Equal(t, http.StatusServiceUnavailable, code)
}
