package aggregator

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua
var luaFiles embed.FS

// scripts are the programs that work on a group, each a file of lua/.
type scripts struct {
	fold, snapshot, settle, sweep, importing, lease, read *redis.Script
	// Those of the groups of outage policies.
	report, take, save, tell, adopt, found *redis.Script
}

// newScripts puts the programs together. Without flags they lack the first line, by which Redis 7 knows what a script
// may do when memory is short: an embedded Redis of another make may not understand it.
func newScripts(flags bool) scripts {
	build := func(name string) *redis.Script {
		shebang, body, _ := strings.Cut(luaFile(name), "\n")
		source := includes(body, map[string]bool{}) + body
		if flags {
			source = shebang + "\n" + source
		}
		return redis.NewScript(source)
	}
	return scripts{
		fold: build("fold"), snapshot: build("snapshot"), settle: build("settle"), sweep: build("sweep"),
		importing: build("import"), lease: build("lease"), read: build("read"),
		report: build("report"), take: build("take"), save: build("save"), tell: build("tell"), adopt: build("adopt"),
		found: build("found"),
	}
}

// all are the scripts that the function loads at its start.
func (s scripts) all() []*redis.Script {
	return []*redis.Script{
		s.fold, s.snapshot, s.settle, s.sweep, s.importing, s.lease, s.read, s.report, s.take, s.save, s.tell, s.adopt,
		s.found,
	}
}

// include is a line of a script that asks for a file of lua/include.
var include = regexp.MustCompile(`(?m)^-- #include (\w+)$`)

// includes are the files that a text asks for, each once, behind those that it asks for itself.
func includes(text string, seen map[string]bool) string {
	var out strings.Builder
	for _, match := range include.FindAllStringSubmatch(text, -1) {
		if name := match[1]; !seen[name] {
			seen[name] = true
			file := luaFile("include/" + name)
			out.WriteString(includes(file, seen))
			out.WriteString(file)
		}
	}
	return out.String()
}

func luaFile(name string) string {
	content, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("script %s: %v", name, err)) // The files are a part of the program.
	}
	return string(content)
}
