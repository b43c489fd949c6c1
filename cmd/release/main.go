// Command release writes what a release consists of into a directory:
//
//	stormfold_VERSION_image_NAME.tar          the container images, which cmd/image has built
//	kubectl-stormfold_VERSION_OS_ARCH.tar.gz  the command line, a zip for Windows
//	install.yaml, trial.yaml                  deploy/production and deploy/trial as one file each
//	stormfold-VERSION.tgz                     the Helm chart
//	krew.yaml                                 the manifest for kubectl's plugin manager
//	sbom.cdx.json                             the Go modules in all programs, as CycloneDX
//	checksums.txt                             the SHA-256 of all of them
//
// The same sources, Go and version give the same files. Run it from the root of the repository; make release does.
//
//	release -version v0.1.0 -repository dev.local -images bin/image -out bin/release
//	release -only manifests,chart             # only these steps
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/internal/build"
)

// options are what the flags say.
type options struct {
	// version has a v in front, repository comes before the names of images.
	version, repository string
	// out is the directory to write, images that of the archives of cmd/image.
	out, images string
	// url is where the files of a release are downloaded from, {version} replaced.
	url string
	// platforms are those of the command line.
	platforms []string
	date      time.Time
	commit    string
}

// step is a part of a release.
type step struct {
	name string
	run  func(context.Context, *options) error
}

// steps are in order: the later ones read the files of those before.
var steps = []step{
	{"images", copyImages}, {"cli", buildCLI}, {"manifests", writeManifests}, {"chart", writeChart}, {"krew", writeKrew},
	{"sbom", writeSBOM}, {"checksums", writeChecksums},
}

func main() {
	o := options{}
	flag.StringVar(&o.version, "version", "v0.1.0", "the version, as its tag in git")
	flag.StringVar(&o.repository, "repository", "dev.local", "what comes before the names of images")
	flag.StringVar(&o.images, "images", "bin/image", "the directory with the archives of cmd/image")
	flag.StringVar(&o.out, "out", "bin/release", "the directory to write")
	flag.StringVar(&o.url, "url", "https://github.com/stormfold/stormfold/releases/download/{version}",
		"where the files will be, for krew")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64",
		"what the command line is built for")
	only := flag.String("only", "", "the steps to do, separated by commas (default: all)")
	flag.Parse()
	o.platforms = strings.Split(*platforms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, *only); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// semantic is a version as the go command and Helm take it.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func run(ctx context.Context, o options, only string) (err error) {
	if !semantic.MatchString(o.version) {
		return fmt.Errorf("-version: %q is not a semantic version with a v in front, for instance v0.1.0", o.version)
	}
	o.url = strings.ReplaceAll(o.url, "{version}", o.version)
	if o.date, err = build.Date(ctx); err != nil {
		return err
	}
	o.commit = build.Commit(ctx)
	var chosen []string
	for _, s := range steps {
		chosen = append(chosen, s.name)
	}
	if only != "" {
		known := chosen
		chosen = strings.Split(only, ",")
		for _, name := range chosen {
			if !slices.Contains(known, name) {
				return fmt.Errorf("-only: there is no step %q, they are %s", name, strings.Join(known, ", "))
			}
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for _, s := range steps {
		if !slices.Contains(chosen, s.name) {
			continue
		}
		if err := s.run(ctx, &o); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}
