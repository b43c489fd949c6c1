package test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	root     = ".."
	wordList = "hack/words.txt"
)

// TestWords refuses the expressions of hack/words.txt in everything that people read.
func TestWords(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, wordList))
	require.NoError(t, err)
	list, err := parseWords(string(content))
	require.NoError(t, err)
	for _, path := range prose(t, list.skip) {
		content, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		for _, hit := range list.find(string(content)) {
			assert.Fail(t, fmt.Sprintf("%s:%s", path, hit))
		}
	}
}

// words is what hack/words.txt says.
type words struct {
	// skip are files and directories that are not read.
	skip     []string
	patterns []pattern
}

type pattern struct {
	*regexp.Regexp
	instead string
}

// parseWords reads a list: "skip PATH", or "PATTERN => what to write instead", a line; # begins a comment. A space in a
// pattern matches a line break too.
func parseWords(content string) (out words, err error) {
	for n, line := range strings.Split(content, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if dir, ok := strings.CutPrefix(line, "skip "); ok {
			out.skip = append(out.skip, dir)
			continue
		}
		text, instead, ok := strings.Cut(line, " => ")
		if !ok {
			return words{}, fmt.Errorf(`%s:%d: the line has no " => "`, wordList, n+1)
		}
		text = strings.ReplaceAll(strings.TrimSpace(text), " ", `(?:[ \t]+|[ \t]*\n[ \t]*)`)
		re, err := regexp.Compile(`(?i)\b(?:` + text + `)\b`)
		if err != nil {
			return words{}, fmt.Errorf("%s:%d: %w", wordList, n+1, err)
		}
		out.patterns = append(out.patterns, pattern{re, strings.TrimSpace(instead)})
	}
	return out, nil
}

// marks begin a line of a comment, or join two strings over a line break. Blanks in their place keep offsets as they
// are.
var marks = regexp.MustCompile("(?m)^[ \t]*(?://|#+|--|\\*|>)|[\"`] \\+$|^[ \t]*[\"`]")

// find returns a line for each expression: line number, what is there, and what to write instead.
func (w words) find(content string) (out []string) {
	content = marks.ReplaceAllStringFunc(content, func(s string) string { return strings.Repeat(" ", len(s)) })
	for _, p := range w.patterns {
		for _, at := range p.FindAllStringIndex(content, -1) {
			line := 1 + strings.Count(content[:at[0]], "\n")
			found := strings.Join(strings.Fields(content[at[0]:at[1]]), " ")
			out = append(out, fmt.Sprintf("%d: %q; write instead: %s", line, found, p.instead))
		}
	}
	return out
}

// prose returns the files with text that people read.
func prose(t *testing.T, skip []string) (out []string) {
	t.Helper()
	read := []string{".md", ".go", ".lua", ".yaml", ".sh", ".svg"}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err = filepath.Rel(root, path)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if slices.Contains(skip, path) && !entry.IsDir() {
			return nil
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "bin", ".func"}, path) || entry.Name() == "testdata" ||
				slices.Contains(skip, path) {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.Contains(read, filepath.Ext(path)) || slices.Contains([]string{"Makefile", "Dockerfile", ".ci/run"}, path) {
			out = append(out, path)
		}
		return nil
	}))
	return out
}

func TestFindWords(t *testing.T) {
	list, err := parseWords("# comment\n\nskip a/b\nheard of => received\nowes? => say who must do it\n")
	require.NoError(t, err)
	require.Equal(t, []string{"a/b"}, list.skip)
	require.Equal(t, []string{`1: "Heard of"; write instead: received`, `4: "heard of"; write instead: received`},
		list.find("Heard of.\n\n\n// It was never heard\n// of.\n"))
	require.Equal(t, []string{`1: "heard of"; write instead: received`}, list.find("x(\"never heard \" +\n\t\t\"of\")"))
	require.Empty(t, list.find("heard\n\nof, overheard often, powes"))
	_, err = parseWords("heard of\n")
	require.EqualError(t, err, `hack/words.txt:1: the line has no " => "`)
}
