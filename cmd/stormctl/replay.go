package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/lookup"
	"github.com/stormfold/stormfold/internal/replay"
)

// replayVersion is the version of replay's JSON. Adding fields does not change it.
const replayVersion = "stormfold.io/replay/v1"

// longReplay is the number of notifications from which on a replay shows its progress.
const longReplay = 200

// replayOptions are the flags of replay.
type replayOptions struct {
	policies, compare   string
	inventory           string
	set, compareSet     []string
	groupBy             []string
	until               string
	output              *output
	incidents           int
	goesOn              time.Duration // What until says.
	compares, fromStdin bool
}

// replayed is the JSON of replay.
type replayed struct {
	APIVersion string      `json:"apiVersion"`
	Inputs     []string    `json:"inputs"`
	Runs       []replayRun `json:"runs"`
}

// replayRun is the result of one list of policies.
type replayRun struct {
	// Source is built-in or the path of the policies file; Changes are the changes to it.
	Source  string   `json:"source"`
	Changes []string `json:"changes,omitempty"`
	*replay.Report
}

func newReplay(s streams) *cobra.Command {
	o := replayOptions{output: newOutput(formatJSON, formatYAML)}
	c := &cobra.Command{
		Use:   "replay FILE... | -",
		Short: "Show the incidents that recorded notifications would have made under some policies",
		Long: `Run recorded notifications through the function's own code, on an embedded Redis and on the recording's
clock, and show the incidents and storms that they would have made, the alerts per incident, and the writes to
Kubernetes. Beside that, show how many notifications people get from Alertmanager about the same alerts.

A recording contains JSON documents: webhooks of Alertmanager, single alerts of such webhooks, CloudEvents, or
{"time": "...", "data": ...} around a webhook or alert. A document without a time is replayed at the latest startsAt of its
alerts, or endsAt of resolved ones. The documents of all files are replayed in the order of their times.`,
		Example: `  # Last night under the built-in policies
  kubectl stormfold replay night.jsonl

  # With another threshold
  kubectl stormfold replay night.jsonl --set default.threshold=10

  # Side by side: a change, or two policies files
  kubectl stormfold replay night.jsonl --compare-set default.threshold=10
  kubectl stormfold replay night.jsonl --policies policies.yaml --compare new.yaml

  # In a script: the number of incidents
  kubectl stormfold replay night.jsonl -o json | jq '.runs[0].incidents | length'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("replay needs the file of a recording, or - for the standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args) },
	}
	f := c.Flags()
	f.StringVar(&o.policies, "policies", "", "policies file (default: the built-in policies)")
	f.StringArrayVar(&o.set, "set", nil, "change a field of a policy, such as default.threshold=10; can be repeated")
	f.StringVar(&o.compare, "compare", "", "policies file to compare with")
	f.StringArrayVar(&o.compareSet, "compare-set", nil,
		"like --set, for the side to compare with: the file of --compare, or else the same policies")
	f.StringVar(&o.inventory, "inventory", "",
		"file of nodes and pods; adds node, zone and owner to alerts without look-ups")
	f.StringSliceVar(&o.groupBy, "group-by", nil,
		"compute the notifications of an Alertmanager that groups by these labels (default: count those of the recording)")
	f.StringVar(&o.until, "until", "",
		"stop this long after the last notification, for instance 1h (default: when all incidents have ended)")
	f.IntVar(&o.incidents, "incidents", 20, "maximum number of incidents to list, storms first")
	suggest(c, "set", policyChanges)
	suggest(c, "compare-set", policyChanges)
	o.output.add(c)
	return c
}

func (o *replayOptions) run(ctx context.Context, s streams, args []string) error {
	if err := o.check(args); err != nil {
		return err
	}
	notifications, err := readRecordings(s, args)
	if err != nil {
		return err
	}
	inventory, err := readInventory(o.inventory)
	if err != nil {
		return err
	}
	first, policies, err := policiesOf(o.policies, o.set)
	if err != nil {
		return err
	}
	sources, lists := []replayRun{first}, []config.Policies{policies}
	if o.compares {
		second := o.compare
		if second == "" {
			second = o.policies
		}
		run, policies, err := policiesOf(second, o.compareSet)
		if err != nil {
			return err
		}
		if o.compare == "" { // The same policies, then the changes of both.
			if policies, err = change(lists[0], o.compareSet); err != nil {
				return err
			}
			run.Changes = append(append([]string{}, o.set...), o.compareSet...)
		}
		sources, lists = append(sources, run), append(lists, policies)
	}
	out := replayed{APIVersion: replayVersion, Inputs: args, Runs: sources}
	// A replay makes much short-lived garbage; collecting it less often makes it a third faster.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	done := progress(s, len(notifications)*len(lists))
	for i, policies := range lists {
		report, err := replay.Run(ctx, notifications,
			replay.Options{Policies: policies, Inventory: inventory, GroupBy: o.groupBy, Until: o.goesOn, Progress: done.step})
		if err != nil {
			done.clear()
			return fmt.Errorf("replaying: %w", err)
		}
		out.Runs[i].Report = report
	}
	done.clear()
	return s.print(o.output.format, out, func(w io.Writer) { out.draw(w, o.incidents) })
}

// check parses and checks the flags.
func (o *replayOptions) check(args []string) error {
	o.compares = o.compare != "" || len(o.compareSet) > 0
	if o.until != "" {
		d, err := model.ParseDuration(o.until)
		if err != nil || d <= 0 || time.Duration(d) > 500*24*time.Hour {
			return usagef("--until %q is not a duration of up to 500d, for instance 1h", o.until)
		}
		o.goesOn = time.Duration(d)
	}
	for _, name := range args {
		if name == "-" && o.fromStdin {
			return usagef("the standard input can be read only once")
		}
		o.fromStdin = o.fromStdin || name == "-"
	}
	return nil
}

// readRecordings reads all files.
func readRecordings(s streams, names []string) ([]replay.Notification, error) {
	var out []replay.Notification
	for _, name := range names {
		content, err := readInput(s, name)
		if err != nil {
			return nil, err
		}
		if name == "-" {
			name = "standard input"
		}
		notifications, err := replay.Read(name, content)
		if err != nil {
			return nil, err
		}
		out = append(out, notifications...)
	}
	return out, nil
}

// readInput reads a file, or the standard input for "-".
func readInput(s streams, name string) ([]byte, error) {
	if name == "-" {
		content, err := io.ReadAll(s.in)
		if err != nil {
			return nil, fmt.Errorf("reading the standard input: %w", err)
		}
		return content, nil
	}
	return readFile(name)
}

func readFile(name string) ([]byte, error) {
	content, err := os.ReadFile(name)
	var path *os.PathError
	if errors.As(err, &path) {
		return nil, fmt.Errorf("%s cannot be read: %w", name, path.Err)
	}
	return content, err
}

// readInventory reads an inventory file; without a name there is none.
func readInventory(name string) (*lookup.Inventory, error) {
	if name == "" {
		return nil, nil
	}
	content, err := readFile(name)
	if err != nil {
		return nil, err
	}
	inventory, err := lookup.Read(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return inventory, nil
}

// policiesOf reads a policies file, or takes the built-in policies, and changes it.
func policiesOf(path string, changes []string) (replayRun, config.Policies, error) {
	run, policies := replayRun{Source: "built-in", Changes: changes}, config.Default()
	if path != "" {
		run.Source = path
		var err error
		if policies, err = config.LoadPolicies(path); err != nil {
			return run, config.Policies{}, err
		}
	}
	policies, err := change(policies, changes)
	return run, policies, err
}

// change applies changes of the form default.threshold=10.
func change(policies config.Policies, changes []string) (config.Policies, error) {
	for _, c := range changes {
		changed, err := policies.With(c)
		if err != nil {
			return config.Policies{}, usage{err}
		}
		policies = changed
	}
	return policies, nil
}

// label names the policies of a run in a column.
func (r replayRun) label() string {
	if len(r.Changes) == 0 {
		return filepath.Base(r.Source)
	}
	return filepath.Base(r.Source) + " " + strings.Join(r.Changes, " ")
}

// bar shows the progress of a long replay. Without a terminal it shows nothing.
type bar struct{ *progressbar.ProgressBar }

func progress(s streams, steps int) bar {
	if !s.errTerminal || steps < longReplay {
		return bar{}
	}
	return bar{
		progressbar.NewOptions(
			steps,
			progressbar.OptionSetWriter(s.err),
			progressbar.OptionSetDescription("replaying"),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowCount(),
			progressbar.OptionClearOnFinish(),
		),
	}
}

func (b bar) step() {
	if b.ProgressBar != nil {
		_ = b.Add(1) // It does not matter if the bar cannot be drawn.
	}
}

func (b bar) clear() {
	if b.ProgressBar != nil {
		_ = b.Clear()
	}
}
