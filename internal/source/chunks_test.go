package source

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAlertsAreDealtOut(t *testing.T) {
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
			var got []int
			deal := &chunks{
				head: []byte(strings.Repeat("h", MaxChunk-20-len(tail))),
				send: func(document []byte, alerts int) error {
					got = append(got, alerts)
					assert.True(t, len(document) <= MaxChunk || alerts == 1)
					assert.True(t, strings.HasSuffix(string(document), "x"+tail))
					return nil
				},
			}
			for _, size := range c.sizes {
				assert.NoError(t, deal.add(json.RawMessage(strings.Repeat("x", size))))
			}
			assert.NoError(t, deal.flush())
			assert.NoError(t, deal.flush(), "there is nothing more")
			assert.Equal(t, c.want, got)
		})
	}
}
