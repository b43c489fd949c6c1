package faults

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The document's table has every fault, and no other; and all of it was clean when it was written.
func TestTheDocumentHasEveryFault(t *testing.T) {
	raw, err := os.ReadFile(root + "/docs/reliability.md")
	require.NoError(t, err)
	_, rest, begins := strings.Cut(string(raw), tableBegins)
	table, _, ends := strings.Cut(rest, tableEnds)
	require.True(t, begins && ends, "the table's marks")
	var documented, there []string
	for _, line := range regexp.MustCompile(`(?m)^\| (.*?) +(\*)? *(\|.*)$`).FindAllStringSubmatch(table, -1) {
		if line[1] == "fault" || strings.HasSuffix(line[1], " mutated events") {
			continue
		}
		documented = append(documented, line[1])
		require.Regexp(t, `\| 0 +\| 0 +\| 0 +\| [0-9.]+s +\|$`, line[3], "lost, doubled, wrong of %s", line[1])
	}
	for _, f := range append(sharedFaults(), ownFaults()...) {
		there = append(there, f.name)
	}
	slices.Sort(documented)
	slices.Sort(there)
	require.Equal(t, there, documented, "make faults writes the table")
}
