package aggregator

import (
	_ "embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/lib.lua
	libLua string
	//go:embed lua/fold.lua
	foldLua string
	//go:embed lua/snapshot.lua
	snapshotLua string
	//go:embed lua/settle.lua
	settleLua string
	//go:embed lua/sweep.lua
	sweepLua string
	//go:embed lua/import.lua
	importLua string
	//go:embed lua/lease.lua
	leaseLua string
	//go:embed lua/peek.lua
	peekLua string
)

// scripts are the programs that work on a group. Each is one file of lua/ behind what they share, lib.lua.
type scripts struct {
	fold, snapshot, settle, sweep, importing, lease *redis.Script
	// peek is for those who look; the function does not need it.
	peek *redis.Script
}

// newScripts puts the programs together. Without flags the first line, by which Redis 7 knows what a script may do when
// memory is short, is left out: an embedded Redis of another make may not understand it.
func newScripts(flags bool) scripts {
	build := func(body string) *redis.Script {
		shebang, rest, _ := strings.Cut(body, "\n")
		src := libLua + rest
		if flags {
			src = shebang + "\n" + src
		}
		return redis.NewScript(src)
	}
	return scripts{
		fold: build(foldLua), snapshot: build(snapshotLua), settle: build(settleLua), sweep: build(sweepLua),
		importing: build(importLua), lease: build(leaseLua),
		peek: build(peekLua),
	}
}

// all are those that the function needs.
func (s scripts) all() []*redis.Script {
	return []*redis.Script{s.fold, s.snapshot, s.settle, s.sweep, s.importing, s.lease}
}
