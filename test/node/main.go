//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stormfold/stormfold/test/testbed"
)

// plan is what a round is told.
type plan struct {
	Project  string            // The project's root.
	Dir      string            // The round's own directory.
	Programs map[string]string // Paths of executables, by name.
	Images   []string          // Archives of images.
	Redis    string            // The name of Redis' image.
	Release  string            // The directory with the files of a release, for a round about one.
	Round    string            // What the round is about, a key of rounds.
	Steps    string            // A regular expression for the names of the steps to do.
	Stay     bool
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "init" {
		os.Exit(first(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 3 && os.Args[1] == "round" {
		err = round(ctx, os.Args[2])
	} else {
		count := flag.Int("rounds", 1, "how many rounds, one after the other, until one fails")
		about := flag.String("round", "trial", "what a round is about: "+strings.Join(abouts(), ", "))
		steps := flag.String("steps", "", "a `pattern`: do the steps that it matches, and those that they need")
		document := flag.String("document", "", "a `file` that gets the table of the last round")
		stay := flag.Bool("stay", false, "install everything and wait for an interrupt")
		flag.Parse()
		err = run(ctx, plan{Round: *about, Steps: *steps, Stay: *stay}, *count, *document)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

// abouts are what a round can be about.
func abouts() []string { return slices.Sorted(maps.Keys(rounds)) }

// run prepares and makes rounds until one fails.
func run(ctx context.Context, p plan, count int, document string) error {
	if rounds[p.Round] == nil {
		return fmt.Errorf("-round: there is no %q, only %s", p.Round, strings.Join(abouts(), ", "))
	}
	if _, err := chosen(rounds[p.Round], p.Steps); err != nil {
		return err
	}
	if err := missing(); err != nil {
		return err
	}
	unlock, err := alone()
	if err != nil {
		return err
	}
	defer unlock()
	if err := noOtherKubelet(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stormfold-node-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := prepare(ctx, dir, &p); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for i := range count {
		start := time.Now()
		fmt.Printf("round %d of %d\n", i+1, count)
		if err := enter(ctx, p); err != nil {
			return fmt.Errorf("round %d of %d: %w", i+1, count, err)
		}
		fmt.Printf("round %d of %d: all held, %s\n", i+1, count, time.Since(start).Round(time.Second))
	}
	if document == "" || p.Stay || p.Steps != "" {
		return nil
	}
	rows, err := readRows(p.Dir)
	if err != nil {
		return err
	}
	return writeTable(document, p.Round, rows)
}

// enter runs one round in namespaces of its own.
func enter(ctx context.Context, p plan) error {
	if err := os.RemoveAll(p.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return err
	}
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	file := filepath.Join(p.Dir, "plan.json")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The parent-death signal comes when this thread ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, self, "init", file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	return errors.Join(cmd.Run(), removeCgroups())
}

// first is the first process of the namespaces: it starts the round and reaps whatever loses its parent.
func first(planFile string) int {
	if err := mountProc(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	child, err := os.StartProcess(
		self,
		[]string{self, "round", planFile},
		&os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}},
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == nil && pid == child.Pid {
			if status.Exited() {
				return status.ExitStatus()
			}
			return 1
		}
	}
}

// alone keeps a second node from starting on this machine: the cgroups of pods are the machine's.
func alone() (unlock func(), err error) {
	home, err := testbed.Home()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(home, "node.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another node runs on this machine"), file.Close())
	}
	return func() { file.Close() }, nil
}
