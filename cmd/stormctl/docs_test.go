package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocumentationShowsWhatIsPrinted runs the commands of docs/stormctl.md that need no server, and compares what they
// print with what the page says they do; a line of three dots matches the rest.
func TestDocumentationShowsWhatIsPrinted(t *testing.T) {
	t.Chdir("../..")
	page, err := os.ReadFile("docs/stormctl.md")
	require.NoError(t, err)
	ran := 0
	for part := range strings.SplitSeq(string(page), "\n```") {
		_, block, console := strings.Cut(part, "console\n")
		if !console {
			continue
		}
		for text := range strings.SplitSeq("\n"+block, "\n$ ") {
			command, want, shown := strings.Cut(text, "\n")
			args, ours := strings.CutPrefix(command, "kubectl stormfold ")
			if !ours || !shown || !strings.Contains(args, "docs/recordings/") || strings.Contains(args, "|") {
				continue
			}
			ran++
			got := call(t, "", strings.Fields(args)...)
			require.Equal(t, exitOK, got.code, got.err)
			if head, cut := strings.CutSuffix(strings.TrimSpace(want), "\n..."); cut {
				require.True(t, strings.HasPrefix(got.out, head+"\n"), "%s prints\n%s", command, got.out)
				continue
			}
			require.Equal(t, strings.TrimSpace(want), strings.TrimSpace(got.out), command)
		}
	}
	require.Equal(t, 8, ran)
}
