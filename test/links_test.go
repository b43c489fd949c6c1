package test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unnamed = regexp.MustCompile(`[^a-z0-9 _-]`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
)

// TestLinks follows every link inside the repository: the file has to exist, and its heading too.
func TestLinks(t *testing.T) {
	read := func(file string) string {
		content, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		return fenced.ReplaceAllString(string(content), "")
	}
	for _, page := range prose(t, nil) {
		if path.Ext(page) != ".md" {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(read(page), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			_, err := os.Stat(filepath.Join(root, file))
			if !assert.NoError(t, err, "%s links to %s", page, match[1]) || anchor == "" {
				continue
			}
			assert.Contains(t, anchors(read(file)), anchor, "%s links to %s", page, match[1])
		}
	}
}

// anchors are the names of a page's headings, as GitHub makes them.
func anchors(content string) (out []string) {
	for _, match := range heading.FindAllStringSubmatch(content, -1) {
		name := unnamed.ReplaceAllString(strings.ToLower(match[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}
