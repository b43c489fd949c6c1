package faults

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stormfold/stormfold/test/testbed"
)

// shared is the control plane of every fault that leaves the API server alone.
var (
	shared  *testbed.Cluster
	program string
)

const root = "../.."

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // They wait most of the time.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "stormfold-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := testbed.RunWithControlPlane(m, func(c *testbed.Cluster) error {
		shared = c
		program = filepath.Join(dir, "stormfold")
		if _, err := build(program, raceFlag...); err != nil {
			return err
		}
		return deploy(context.Background(), c)
	})
	if err := table.print(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// deploy applies the definition; each bed has a namespace of its own.
func deploy(ctx context.Context, c *testbed.Cluster) error {
	if err := c.ApplyPaths(ctx, filepath.Join(root, "deploy/crd")); err != nil {
		return err
	}
	return c.AwaitCRD(ctx, "incidents.stormfold.io")
}

// row is what one fault came to.
type row struct {
	name     string
	repeated bool
	verdict  Verdict
	recovery time.Duration
}

// rows are collected from all tests and printed at the end.
type rows struct {
	mu  sync.Mutex
	all []row
}

var table rows

func (r *rows) add(one row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
}

// print writes the table to standard output, and to the file that STORMFOLD_TESTBED_FAULTS_TABLE names.
func (r *rows) print() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return nil
	}
	slices.SortFunc(r.all, func(a, b row) int { return cmp.Compare(a.name, b.name) })
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| fault\t| events\t| refused\t| alerts\t| lost\t| doubled\t| wrong\t| recovery\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, one := range r.all {
		name := one.name
		if one.repeated {
			name += " *"
		}
		v := one.verdict
		fmt.Fprintf(w, "| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %.1fs\t|\n",
			name, v.Events, v.Refused, v.Alerts, v.Lost, v.Doubled, v.Wrong, one.recovery.Seconds())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	out.WriteString("\n\\* Redis itself forgot what it had acknowledged; judged after the senders repeated their notifications once.\n")
	fmt.Print("\n", out.String())
	if path := os.Getenv("STORMFOLD_TESTBED_FAULTS_TABLE"); path != "" {
		return os.WriteFile(path, []byte(out.String()), 0o644)
	}
	return nil
}
