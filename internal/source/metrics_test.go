package source

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every series is there from the beginning, and every reason that can be counted has one.
func TestMetricsAreClosed(t *testing.T) {
	m := newMetrics()
	require.Empty(t, m.set.Check())
	for _, a := range answers {
		m.answered(a.reason, 1, time.Second)
	}
	for _, result := range sinkResults {
		m.sent(result, time.Second)
	}
	require.Empty(t, m.set.Check())
}
