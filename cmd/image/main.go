// Command image builds the container images, as OCI layouts in a directory, without a registry and without a daemon. An
// image holds one static program and the certificate authorities of the public web, nothing else. The same sources give
// the same image, byte for byte, wherever they are built. Its date is that of the commit, or SOURCE_DATE_EPOCH.
//
//	image -out bin/image -tag v0.1.0 ./cmd/stormfold ./cmd/alertmanager-source
//
// makes bin/image/stormfold, a layout with one image for each platform, bin/image/stormfold.tar, which is the same in a
// file that docker load takes too, and so on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stormfold/stormfold/internal/build"
)

func main() {
	out := flag.String("out", "bin/image", "the directory for the layouts")
	tag := flag.String("tag", "v0.1.0", "the images' tag")
	repository := flag.String("repository", "dev.local", "what comes before an image's name")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "what to build for, separated by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, options{out: *out, tag: *tag, repository: *repository, platforms: *platforms,
		mains: flag.Args()}); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

type options struct {
	out, tag, repository, platforms string
	// mains are the directories of programs. An image has the name of its program's directory.
	mains []string
}

func run(ctx context.Context, o options) error {
	var platforms []v1.Platform
	for _, p := range strings.Split(o.platforms, ",") {
		platform, err := v1.ParsePlatform(p)
		if err != nil || platform.OS == "" || platform.Architecture == "" {
			return fmt.Errorf("-platforms: %q is not os/architecture, for instance linux/amd64", p)
		}
		platforms = append(platforms, *platform)
	}
	date, err := build.Date(ctx)
	if err != nil {
		return err
	}
	from := origin{version: o.tag, commit: build.Commit(ctx), date: date}
	if len(o.mains) == 0 {
		return fmt.Errorf("name the directories of the programs, for instance ./cmd/stormfold")
	}
	for _, main := range o.mains {
		name := path.Base(filepath.ToSlash(main))
		index, err := newIndex(ctx, main, name, platforms, from)
		if err != nil {
			return fmt.Errorf("build the image %s: %w", name, err)
		}
		dir := filepath.Join(o.out, name)
		if err := write(dir, index, fmt.Sprintf("%s/%s:%s", o.repository, name, o.tag)); err != nil {
			return fmt.Errorf("write the image %s: %w", name, err)
		}
		digest, err := index.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s/%s:%s@%s\n", dir, o.repository, name, o.tag, digest)
	}
	return nil
}
