package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDescribe(t *testing.T) {
	for want, info := range map[string]*debug.BuildInfo{
		"v1.2.3 go1.26.0": {GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"}},
		"(devel) 0a1b (changed) go1.26.0": {GoVersion: "go1.26.0", Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0a1b"}, {Key: "vcs.modified", Value: "true"},
		}},
		"(devel) 0a1b go1.26.0": {GoVersion: "go1.26.0", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0a1b"}, {Key: "vcs.modified", Value: "false"},
		}},
	} {
		assert.Equal(t, want, describe(info))
	}
}
