//go:build !race

package observability

var raceFlag []string
