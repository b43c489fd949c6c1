// Package build compiles the programs of a release.
package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// stamped is the variable that holds the version of a release.
const stamped = "github.com/stormfold/stormfold/internal/version.release"

// Program is what to compile.
type Program struct {
	// Main is the directory of the program, such as ./cmd/stormfold.
	Main string
	// OS, Arch and Variant are those of the platform, such as linux, arm and v7.
	OS, Arch, Variant string
	// Version is what the program says that it is.
	Version string
}

// Compile writes a static program to a file: without paths of this machine, and with the commit where git knows one.
func (p Program) Compile(ctx context.Context, file string) error {
	flags := "-s -w -X " + stamped + "=" + p.Version
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags="+flags, "-o", file, p.Main)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Arch)
	if level, ok := strings.CutPrefix(p.Variant, "v"); ok && p.Arch == "arm" {
		cmd.Env = append(cmd.Env, "GOARM="+level)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s for %s/%s: %w: %s", p.Main, p.OS, p.Arch, err, bytes.TrimSpace(out))
	}
	return nil
}

// Date is the time that a release carries: SOURCE_DATE_EPOCH, or that of the commit, or 1970 where there is neither. So the same
// sources give the same files.
func Date(ctx context.Context) (time.Time, error) {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		out, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Unix(0, 0).UTC(), ctx.Err()
		}
		seconds = strings.TrimSpace(string(out))
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds since 1970", seconds)
	}
	return time.Unix(n, 0).UTC(), nil
}

// Commit is the commit of the sources, and empty where git knows none.
func Commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
