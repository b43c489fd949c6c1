//go:build !race

package integration

var raceFlag []string
