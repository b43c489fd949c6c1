package function

import (
	"bufio"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A flood of refusals has a line for each.
func TestTheLogIsNotSampled(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stderr := os.Stderr
	os.Stderr = w
	log := newLogger("info")
	lines := make(chan int)
	go func() {
		n := 0
		for s := bufio.NewScanner(io.Reader(r)); s.Scan(); n++ {
		}
		lines <- n
	}()
	for range 1000 {
		log.Warnw("event refused permanently", "event", "x")
	}
	os.Stderr = stderr
	require.NoError(t, w.Close())
	require.Equal(t, 1000, <-lines)
}
