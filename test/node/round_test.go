//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChosen(t *testing.T) {
	steps := []step{{name: "install", always: true}, {name: "burst"}, {name: "kill"}, {name: "uninstall", always: true}}
	for pattern, want := range map[string][]string{
		"":              {"install", "burst", "kill", "uninstall"},
		"kill":          {"install", "kill"},
		"burst|^uninst": {"install", "burst", "uninstall"},
	} {
		got, err := chosen(steps, pattern)
		require.NoError(t, err)
		var names []string
		for _, s := range got {
			names = append(names, s.name)
		}
		require.Equal(t, want, names, pattern)
	}
	_, err := chosen(steps, "bust")
	require.ErrorContains(t, err, "-steps: no step matches bust")
	_, err = chosen(steps, "(")
	require.ErrorContains(t, err, "-steps: ")
}
