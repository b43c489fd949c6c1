// Package version knows which version a program was built as, and the arguments that all of our servers have: version and help.
package version

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// release is the version of a release, which its build sets by -ldflags.
var release string

// Info is what a program was built of.
type Info struct {
	// Version is that of the release, or what the go command knows: the tag, or one made of the commit.
	Version string `json:"version"`
	// Commit is empty where the sources were no git repository. Changed: they differed from it.
	Commit  string `json:"commit,omitempty"`
	Changed bool   `json:"changed,omitempty"`
	// Date is that of the commit.
	Date      string `json:"date,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// Get is what this program was built of.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	return of(build, release)
}

func of(build *debug.BuildInfo, release string) Info {
	out := Info{
		Version: release, GoVersion: build.GoVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if out.Version == "" {
		out.Version = build.Main.Version
	}
	if out.Version == "" {
		out.Version = "(devel)"
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			out.Commit = s.Value
		case "vcs.time":
			out.Date = s.Value
		case "vcs.modified":
			out.Changed = s.Value == "true"
		}
	}
	return out
}

// String is the version with commit, Go version and platform, on one line.
func (i Info) String() string {
	out := i.Version
	if i.Commit != "" {
		out += " " + i.Commit
	}
	if i.Changed {
		out += " (changed)"
	}
	return out + " " + i.GoVersion + " " + i.Platform
}

// Arguments deals with those of a server, which has none but version and help. It is false when the server should run, and
// otherwise true with the exit code.
func Arguments(program, usage string, args []string, out, errs io.Writer) (code int, done bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case "version", "-version", "--version":
		fmt.Fprintln(out, program, Get())
		return 0, true
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage)
		return 0, true
	default:
		fmt.Fprintf(errs, "%s: unknown argument %q\n%s", program, args[0], usage)
		return 2, true
	}
}
