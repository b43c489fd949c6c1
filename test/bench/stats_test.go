package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMedian(t *testing.T) {
	assert.Equal(t, 2.0, median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	assert.True(t, math.IsNaN(median(nil)))
	values := []float64{3, 1, 2}
	median(values)
	assert.Equal(t, []float64{3, 1, 2}, values, "what is asked about is left as it is")
}

func TestQuantile(t *testing.T) {
	var values []float64
	for i := 100; i > 0; i-- {
		values = append(values, float64(i))
	}
	assert.Equal(t, 99.0, quantile(values, 0.99))
	assert.Equal(t, 50.0, quantile(values, 0.5))
	assert.Equal(t, 100.0, quantile(values, 1))
	assert.Equal(t, 1.0, quantile(values, 0))
	assert.Equal(t, 7.0, quantile([]float64{7}, 0.99))
	assert.True(t, math.IsNaN(quantile(nil, 0.99)))
}

// A step of 100 a second and one of 25 a second take 10 and 40 ms: 20 a second together.
func TestBound(t *testing.T) {
	assert.InDelta(t, 20, bound(100, 25), 1e-9)
}

func TestCPUOfAProcess(t *testing.T) {
	seconds, err := parseCPU("42 (a (strange) name) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 8 0 1 2 3")
	assert.NoError(t, err)
	assert.Equal(t, 3.0, seconds)
	_, err = parseCPU("42 (short) S 1 2")
	assert.ErrorContains(t, err, "cannot be read")
}
