package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAdjustedRand(t *testing.T) {
	for _, c := range []struct {
		name, a, b string // A letter for the part of each thing.
		want       float64
	}{
		{"equal", "aabbb", "xxyyy", 1},
		{"all alone against one part", "abcde", "xxxxx", 0},
		{"one part on both sides", "aaa", "xxx", 1},
		{"all alone on both sides", "abc", "xyz", 1},
		{"nothing", "", "", 1},
		// 2 pairs are together in both, 3 in a, 4 in b, of 15: (2 - 3*4/15) / (7/2 - 3*4/15).
		{"by hand", "aabbcc", "xxyyyz", 4.0 / 9},
		{"worse than chance", "aabb", "xyxy", -0.5},
	} {
		require.InDelta(t, c.want, adjustedRand(parts(c.a), parts(c.b)), 1e-9, c.name)
	}
}

func parts(letters string) []string {
	out := make([]string, len(letters))
	for i, letter := range letters {
		out[i] = string(letter)
	}
	return out
}
