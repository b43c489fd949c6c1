package build

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDate(t *testing.T) {
	t.Chdir(t.TempDir())
	date := func() time.Time {
		t.Helper()
		d, err := Date(t.Context())
		require.NoError(t, err)
		return d
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	assert.Equal(t, time.Unix(0, 0).UTC(), date(), "neither a date nor a commit")
	assert.Empty(t, Commit(t.Context()))

	t.Setenv("GIT_COMMITTER_DATE", "2026-03-01T10:16:00Z")
	for _, args := range [][]string{{"init", "-q"}, {
		"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first",
	}} {
		out, err := exec.Command("git", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	assert.Equal(t, time.Date(2026, 3, 1, 10, 16, 0, 0, time.UTC), date())
	assert.Len(t, Commit(t.Context()), 40)

	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	assert.Equal(t, time.Unix(1700000000, 0).UTC(), date())
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	_, err := Date(t.Context())
	assert.EqualError(t, err, `SOURCE_DATE_EPOCH: "yesterday" is not a number of seconds since 1970`)
}
