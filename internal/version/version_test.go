package version

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInfo(t *testing.T) {
	platform := " go1.26.0 " + runtime.GOOS + "/" + runtime.GOARCH
	tagged := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"}}
	assert.Equal(t, "v1.2.3"+platform, of(tagged, "").String())
	assert.Equal(t, "v2.0.0"+platform, of(tagged, "v2.0.0").String(), "a release is what it was built as")
	changed := &debug.BuildInfo{GoVersion: "go1.26.0", Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0a1b"}, {Key: "vcs.modified", Value: "true"}, {Key: "vcs.time", Value: "2026-03-01T10:16:00Z"},
	}}
	assert.Equal(t, "(devel) 0a1b (changed)"+platform, of(changed, "").String())
	assert.Equal(t, "2026-03-01T10:16:00Z", of(changed, "").Date)
	changed.Settings[1].Value = "false"
	assert.Equal(t, "(devel) 0a1b"+platform, of(changed, "").String())
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args      []string
		code      int
		done      bool
		out, errs string
	}{
		{nil, 0, false, "", ""},
		{[]string{"version"}, 0, true, "server " + Get().String() + "\n", ""},
		{[]string{"-version"}, 0, true, "server " + Get().String() + "\n", ""},
		{[]string{"--help"}, 0, true, "usage: server\n", ""},
		{[]string{"serve"}, 2, true, "", "server: unknown argument \"serve\"\nusage: server\n"},
	} {
		var out, errs bytes.Buffer
		code, done := Arguments("server", "usage: server\n", c.args, &out, &errs)
		assert.Equal(t, c.code, code, c.args)
		assert.Equal(t, c.done, done, c.args)
		assert.Equal(t, c.out, out.String(), c.args)
		assert.Equal(t, c.errs, errs.String(), c.args)
	}
}
