// Command bench measures how fast Stormfold is against what limits it, on real servers, and prints one table.
//
//	go run ./test/bench                              # all rows; bin/bench.json has the numbers of each round
//	go run ./test/bench -document docs/performance.md # and put the table into that document
//	go run ./test/bench -check                       # the cheap rows for a short time; fails on a ratio out of bounds
//	go run ./test/bench -rows events,fold            # only those rows
//	go run ./test/bench -profile DIR                 # write profiles of the function under load instead
//
// It has to be run in the root of the repository. All sides of a row are measured side by side: in each round one after
// the other, each for some seconds, on the same servers, with the same load generator. A figure is the median of the
// rounds.
//
//	newBed       build the programs; start Redis and the API server
//	measure      each row, in rounds
//	markdown     the table, for people; encode: the JSON file, for programs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stormTime is how long a storm goes on before rates and latencies of the function are measured: its first flushes,
// after 0, 1, 3 and 7 s, are over then, and the next two come 8 and 15 s apart.
const stormTime = 8 * time.Second

// plan says how long things are measured.
type plan struct {
	check     bool
	rounds    int
	warm, run time.Duration
	storm     time.Duration // In place of warm, and of run if that is shorter, for the function.
	folds     int           // How often a fold is timed in each round.
	starts    int           // How often a process is started.
	only      []string
}

// full is make bench, short make bench-check.
var (
	full  = plan{rounds: 3, warm: time.Second, run: 4 * time.Second, storm: stormTime, folds: 2000, starts: 11}
	short = plan{check: true, rounds: 2, warm: time.Second, run: 2 * time.Second, folds: 500}
)

// ofStorm is the plan for a function: as for what it is compared with, but of a storm that goes on.
func (p plan) ofStorm() plan {
	p.warm, p.run = max(p.warm, p.storm), max(p.run, p.storm)
	return p
}

// fromTheStart is the plan for the row in which all that a storm's beginning costs counts: it measures as long as
// ofStorm.
func (p plan) fromTheStart() plan {
	p.run = max(p.run, 2*p.storm-p.warm)
	return p
}

// wants is true for a row that is to be measured.
func (p plan) wants(ids ...string) bool {
	for _, id := range ids {
		if (len(p.only) == 0 || slices.Contains(p.only, id)) && (!p.check || rowOf(id).Loose > 0) {
			return true
		}
	}
	return false
}

func main() {
	check := flag.Bool(
		"check",
		false,
		"measure the cheap rows only, for a short time, and fail when one is out of generous bounds",
	)
	only := flag.String("rows", "", "measure these rows only, comma-separated")
	rounds := flag.Int("rounds", 0, "measure in so many rounds")
	out := flag.String("json", "bin/bench.json", "write the numbers to this `file`")
	document := flag.String("document", "", "put the table into this `file`, between its markers")
	profiles := flag.String("profile", "", "write profiles of the function under load into this `directory`")
	flag.Parse()
	p := full
	if *check {
		p = short
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	if *only != "" {
		p.only = strings.Split(*only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, p, *out, *document, *profiles); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, jsonPath, documentPath, profiles string) (err error) {
	for _, id := range p.only {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.ID == id }) {
			return fmt.Errorf("there is no row %q", id)
		}
	}
	b, err := newBed(ctx)
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	if profiles != "" {
		return b.profile(ctx, profiles)
	}
	outcomes, failed := b.measure(ctx, p)
	m, err := b.machine(ctx)
	if err != nil {
		return err
	}
	table := fmt.Sprintf(
		"%d cores, %s, Redis %s; medians of %d rounds.\n\n",
		m.Cores,
		m.Go,
		m.Redis,
		p.rounds,
	) + markdown(
		outcomes,
	)
	fmt.Println(table)
	numbers, err := encode(m, outcomes, b.costs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(jsonPath), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(jsonPath, numbers, 0o644); err != nil {
		return err
	}
	if documentPath != "" && failed == nil {
		if err := update(documentPath, table); err != nil {
			return err
		}
	}
	if !p.check || failed != nil {
		return failed
	}
	var wrong []error
	for _, o := range outcomes {
		wrong = append(wrong, o.check())
	}
	return errors.Join(wrong...)
}

// update puts the table into a document.
func update(path, table string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := insert(string(old), table)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(changed), 0o644)
}

// progress says on standard error how far it is.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
