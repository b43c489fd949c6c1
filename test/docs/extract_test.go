package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pages are those of which every command is run.
var pages = []string{
	"README.md",
	"docs/install.md",
	"docs/events.md",
	"docs/incidents.md",
	"docs/stormctl.md",
	"docs/troubleshooting.md",
}

// command is one of a page, with the output that the page shows.
type command struct {
	at, text string
	prints   []string
}

var heading = regexp.MustCompile(`^#+ (.*)$`)

// extract returns the commands of the pages by page and heading, in the order of the page. Commands are in blocks
// of the language console, each behind "$ "; a backslash carries one on to the next line.
func extract(t *testing.T) map[string][]command {
	t.Helper()
	out := map[string][]command{}
	for _, page := range pages {
		content, err := os.ReadFile(filepath.Join(root, page))
		require.NoError(t, err)
		var section, language string
		var block []string
		for n, line := range strings.Split(string(content), "\n") {
			fence, isFence := strings.CutPrefix(line, "```")
			switch {
			case isFence && language == "":
				language, block = fence+" ", nil
				require.NotContains(
					t,
					[]string{"sh ", "bash ", "shell "},
					language,
					"%s:%d: commands stand in blocks of the language console",
					page,
					n+1,
				)
			case isFence:
				if language == "console " {
					key := page + "#" + section
					out[key] = append(out[key], commands(block, fmt.Sprintf("%s, before line %d", page, n+1))...)
				}
				language = ""
			case language != "":
				block = append(block, line)
			case heading.MatchString(line):
				section = heading.FindStringSubmatch(line)[1]
			}
		}
	}
	return out
}

func commands(block []string, at string) (out []command) {
	goesOn := false
	for _, line := range block {
		text, begins := strings.CutPrefix(line, "$ ")
		switch last := len(out) - 1; {
		case begins:
			out = append(out, command{at: at, text: text})
		case goesOn:
			text = line
			out[last].text += "\n" + line
		default:
			out[last].prints = append(out[last].prints, line)
			continue
		}
		goesOn = strings.HasSuffix(text, `\`)
	}
	return out
}

// changing matches the parts of a line that differ from run to run.
var changing = regexp.MustCompile(strings.Join([]string{
	`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?`, // times
	`\d\d:\d\d UTC on [A-Z][a-z]{2} \d+`,
	`127\.0\.0\.1:\d+`,                                   // addresses
	`\b\d+(\.\d+)? (s|ms)\b`, `\b(\d+(\.\d+)?[dhms])+\b`, // durations
	`-[a-z2-7]{10}\b`, // the ends of incidents' names
	` +`,
}, "|"))

// pattern matches the line that a page shows.
func pattern(line string) string {
	var out strings.Builder
	last := 0
	for _, at := range changing.FindAllStringIndex(line, -1) {
		out.WriteString(regexp.QuoteMeta(line[last:at[0]]))
		switch part := line[at[0]:at[1]]; {
		case strings.HasPrefix(part, " "):
			out.WriteString(` +`)
		case strings.HasPrefix(part, "-"):
			out.WriteString(`-[a-z2-7]{10}`)
		case strings.Contains(part, " UTC on "):
			out.WriteString(`\d\d:\d\d UTC on [A-Z][a-z]{2} \d+`)
		default:
			out.WriteString(`[\dTZdhms.: -]+`)
		}
		last = at[1]
	}
	return out.String() + regexp.QuoteMeta(line[last:])
}

// shown makes an expression of what a page shows: these lines, one after the other, at the beginning. Three dots stand
// for any lines; more of them follow at the end where the program goes on.
func shown(lines []string, goesOn bool) *regexp.Regexp {
	out := `(?s)\A`
	for i, line := range lines {
		if line == "..." {
			out += `(?:.*\n)??`
			continue
		}
		out += `(?-s:` + pattern(line) + ` *)\n`
		if goesOn && i < len(lines)-1 {
			out += `(?:.*\n)??`
		}
	}
	if len(lines) > 0 && lines[len(lines)-1] != "..." && !goesOn {
		out += `\s*\z`
	}
	return regexp.MustCompile(out)
}

func TestShown(t *testing.T) {
	lines := []string{"sent 15 alerts in 37 ms", "...", "disk-full-abcdefghij  Alert  15  1m30s"}
	require.Regexp(t, shown(lines, false), "sent 15 alerts in 4 ms\nx\ny\ndisk-full-2222222222 Alert   15 3s\n")
	require.NotRegexp(t, shown(lines, false), "sent 16 alerts in 4 ms\nx\ny\ndisk-full-2222222222 Alert   15 3s\n")
	require.NotRegexp(
		t,
		shown(lines, false),
		"sent 15 alerts in 4 ms\nx\ny\ndisk-full-2222222222 Alert   15 3s\nand more\n",
	)
	require.Equal(t, []command{{at: "x", text: "a \\\n  b", prints: []string{"c"}}, {at: "x", text: "d"}},
		commands([]string{"$ a \\", "  b", "c", "$ d"}, "x"))
}
