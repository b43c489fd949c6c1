// Command outages replays recordings of outages under the built-in policies and compares the incidents with what
// really happened. Each recording is three files:
//
//	NAME.jsonl           what Alertmanager's webhook sent, as stormctl replay reads it
//	NAME.truth.json      the causes, and of each alert its cause, the object it is about, and when it fired
//	NAME.topology.json   the cluster: its nodes, and of each pod its node and owner
//
// The project's own are in docs/recordings; scenarios.go makes them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/stormfold/stormfold/config"
)

// own is where the recordings of the project are, from its root.
const own = "docs/recordings"

func main() {
	dir := flag.String("dir", "", "a directory of recordings in place of ../shared/outages")
	output := flag.String("json", "", "a file for the rows as JSON")
	lookups := flag.Bool("lookups", false, "look up pods and nodes in each recording's topology")
	write := flag.Bool("write", false, "rewrite the project's own recordings, and measure nothing")
	flag.Parse()
	if *write {
		if err := writeOwn(own); err != nil {
			fmt.Fprintln(os.Stderr, "outages:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *output, *lookups); err != nil {
		fmt.Fprintln(os.Stderr, "outages:", err)
		os.Exit(1)
	}
}

// run measures the recordings of a directory, by default ../shared/outages when it is there, and those of the
// project.
func run(ctx context.Context, dir, output string, lookups bool) error {
	dirs := []string{dir, own}
	if dir == "" {
		dirs[0] = "../shared/outages"
		if _, err := os.Stat(dirs[0]); errors.Is(err, fs.ErrNotExist) {
			dirs = dirs[1:]
		}
	}
	var recordings []recording
	for _, dir := range dirs {
		more, err := readAll(dir)
		if err != nil {
			return err
		}
		if lookups {
			if err := lookUps(dir, more); err != nil {
				return err
			}
		}
		recordings = append(recordings, more...)
	}
	rows, err := measureAll(ctx, recordings, config.Default())
	if err != nil {
		return err
	}
	draw(os.Stdout, rows)
	if output == "" {
		return nil
	}
	content, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(output, append(content, '\n'), 0o644)
}

// measureAll measures as many recordings at once as there are cores.
func measureAll(ctx context.Context, recordings []recording, policies config.Policies) ([]Row, error) {
	// A replay makes much that is forgotten at once; collecting it less often makes it a third faster.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	rows := make([]Row, len(recordings))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n, r := range recordings {
		group.Go(func() (err error) {
			rows[n], err = measure(ctx, r, policies)
			return err
		})
	}
	return rows, group.Wait()
}
