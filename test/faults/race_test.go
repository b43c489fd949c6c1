//go:build race

package faults

var raceFlag = []string{"-race"}
