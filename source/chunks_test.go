package source

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		sizes []int
		want  []int
	}{
		"one":                         {[]int{10}, []int{1}},
		"two with their comma":        {[]int{10, 9}, []int{2}},
		"a byte more":                 {[]int{10, 10}, []int{1, 1}},
		"three with two commas":       {[]int{6, 6, 6}, []int{3}},
		"a byte more of the third":    {[]int{6, 6, 7}, []int{2, 1}},
		"one that fills it":           {[]int{20, 1}, []int{1, 1}},
		"one that does not fit":       {[]int{21}, []int{1}},
		"one that does not fit later": {[]int{1, 21, 1}, []int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var alerts []json.RawMessage
			for _, size := range c.sizes {
				alerts = append(alerts, json.RawMessage(strings.Repeat("x", size)))
			}
			var got []int
			for _, chunk := range split(alerts, 20) {
				got = append(got, len(chunk))
				if len(chunk) > 1 {
					assert.LessOrEqual(t, len(document(nil, chunk))-len(tail), 20, "what is written is what was counted")
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}
