package subject

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every alert of kube-prometheus and kube-prometheus-stack, with the labels that it has there and the object that it is
// about. Where a Node's alert tells its address only, that is its name here; where no label names the object, it has
// none.
func TestAlertsOfTheDistributions(t *testing.T) {
	content, err := os.ReadFile("testdata/alerts.tsv")
	require.NoError(t, err)
	rows := map[string]int{}
	for i, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
		columns := strings.Split(line, "\t")
		require.Len(t, columns, 6, "line %d", i+1)
		if i == 0 {
			continue
		}
		rows[columns[1]]++
		labels := labelsOf("alertname=" + columns[0] + "," + columns[2])
		got := Rules(nil).Read(labels)
		assert.Equal(
			t,
			Resource{columns[3], columns[4], columns[5]},
			got.Subject,
			"%s in %s: %s",
			columns[0],
			columns[1],
			columns[2],
		)
	}
	assert.Equal(t, map[string]int{"kube-prometheus": 141, "kube-prometheus-stack": 157}, rows)
}

// labelsOf reads name=value,name=value.
func labelsOf(s string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			out[name] = value
		}
	}
	return out
}
