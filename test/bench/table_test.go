package main

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryRowHasATargetAndANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		assert.False(t, seen[r.ID], r.ID)
		seen[r.ID] = true
		assert.Positive(t, r.Target, r.ID)
		if r.Loose > 0 && r.AtLeast {
			assert.LessOrEqual(t, r.Loose, r.Target, "%s: -check is more generous than the target", r.ID)
		}
		if r.Loose > 0 && !r.AtLeast {
			assert.GreaterOrEqual(t, r.Loose, r.Target, "%s: -check is more generous than the target", r.ID)
		}
		if r.Unit == "ms" || r.Unit == "s" {
			assert.True(t, r.Loose == 0 || r.Compare == ratio, "%s: -check asserts no times", r.ID)
		}
	}
	assert.Panics(t, func() { rowOf("none") })
}

// outcomes are one of each kind of comparison.
func outcomes() []outcome {
	return []outcome{
		{
			row: row{
				ID:      "a",
				Name:    "fast",
				Against: "slow",
				Unit:    "/s",
				Compare: ratio,
				Target:  0.85,
				AtLeast: true,
				Loose:   0.5,
			},
			Rounds: []sample{{900, 1000}, {1800, 2000}, {300, 1000}},
			Note:   "noted",
		},
		{row: row{ID: "b", Name: "start", Against: "noop", Unit: "ms", Compare: difference, Target: 150},
			Rounds: []sample{{300, 100}}},
		{row: row{ID: "c", Name: "size", Unit: "MiB", Compare: absolute, Target: 40, Loose: 44},
			Rounds: []sample{{Measured: 20.5}}},
		{row: row{ID: "d", Name: "writes", Against: "one each", Compare: absolute, Target: 25},
			Rounds: []sample{{Measured: 12345}}},
	}
}

func TestTheTableHoldsMediansAndVerdicts(t *testing.T) {
	assert.Equal(t, `| row | measured | against | ratio | target | met |
|---|---|---|---|---|---|
| fast | 900/s | slow: 1,000/s | 0.9 | ≥ 0.85 | yes |
| start | 300 ms | noop: 100 ms | + 200 ms | ≤ + 150 ms | no |
| size | 20.5 MiB | – | – | ≤ 40 MiB | yes |
| writes | 12,345 | one each | – | ≤ 25 | no |

fast: noted
`, markdown(outcomes()))
}

func TestWhatWasNotMeasuredIsNotMet(t *testing.T) {
	for _, rounds := range [][]sample{nil, {{0, 0}}, {{1, 0}}, {{math.NaN(), 1}}} {
		o := outcome{row: row{Name: "fast", Compare: ratio, Target: 0.85, AtLeast: true, Loose: 0.5}, Rounds: rounds}
		assert.False(t, o.met(), rounds)
		assert.Error(t, o.check(), rounds)
	}
	_, err := encode(machine{}, []outcome{{row: row{Compare: ratio}}}, nil)
	assert.ErrorContains(t, err, "encoding the results")
}

func TestCheckIsGenerousAndFailsBeyondThat(t *testing.T) {
	o := outcomes()[0]
	o.Rounds = []sample{{600, 1000}}
	assert.False(t, o.met())
	assert.NoError(t, o.check())
	o.Rounds = []sample{{400, 1000}}
	assert.EqualError(t, o.check(), "fast: 0.4 is below 0.5")
	o = outcomes()[2]
	o.Rounds = []sample{{Measured: 50}}
	assert.EqualError(t, o.check(), "size: 50 is above 44")
	o = outcomes()[1]
	assert.NoError(t, o.check(), "a row without a loose bound is not checked")
}

func TestTheJSONFileHoldsEveryRound(t *testing.T) {
	raw, err := encode(machine{Cores: 2}, outcomes(), []costRecord{{Load: "events", Redis: 55}})
	require.NoError(t, err)
	var got report
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Len(t, got.Rows, 4)
	assert.Equal(t, []sample{{900, 1000}, {1800, 2000}, {300, 1000}}, got.Rows[0].Rounds)
	assert.InDelta(t, 0.9, got.Rows[0].Figure, 1e-9)
	assert.True(t, got.Rows[0].Met)
	assert.Equal(t, 55.0, got.Costs[0].Redis)
	assert.Equal(t, 2, got.Machine.Cores)
}

func TestTheTableGoesBetweenItsMarkers(t *testing.T) {
	out, err := insert("before\n"+tableBegins+"old\n"+tableEnds+"after\n", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "before\n"+tableBegins+"new\n"+tableEnds+"after\n", out)
	_, err = insert("no markers", "new")
	assert.ErrorContains(t, err, "has no lines")
	_, err = insert(tableBegins, "new")
	assert.ErrorContains(t, err, "has no lines")
}

func TestNumbersHaveThreeDigitsThatMatter(t *testing.T) {
	for v, want := range map[float64]string{0.8512: "0.851", 12.345: "12.3", 1234567: "1,234,567", 999.6: "1,000",
		-1500: "-1,500", math.Inf(1): "?"} {
		assert.Equal(t, want, number(v))
	}
}
