package main

import (
	"math"
	"slices"
)

// median is the middle value, or the mean of the two in the middle; NaN of nothing, so that a missing measurement
// shows.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile is the smallest value that at least that share of all values does not exceed; NaN of nothing.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// bound is the rate of work of which each unit needs a step of one rate and a step of another, one after the other: no
// function that folds can be faster than the runtime and the folding together.
func bound(n, e float64) float64 { return 1 / (1/n + 1/e) }
