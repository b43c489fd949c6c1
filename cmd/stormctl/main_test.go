package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the golden files should hold")

// recordings are those of the package replay, which the documentation names too.
const recordings = "../../docs/recordings/"

// outcome is what one call of the program left.
type outcome struct {
	code     int
	out, err string
}

// call runs the program as kubectl does, without a terminal, a cluster or a Redis unless the flags name one.
func call(t *testing.T, in string, args ...string) outcome {
	t.Helper()
	return callOn(t, streams{in: strings.NewReader(in)}, args...)
}

func callOn(t *testing.T, s streams, args ...string) outcome {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv(redisVariable, "")
	var out, err bytes.Buffer
	s.out, s.err = &out, &err
	s.now = func() time.Time { return time.Date(2026, 5, 1, 3, 5, 0, 0, time.UTC) }
	code := run(t.Context(), "kubectl-stormfold", args, s)
	return outcome{code, out.String(), err.String()}
}

// golden compares what a call wrote with a file of testdata.
func golden(t *testing.T, file string, got outcome) {
	t.Helper()
	require.Equal(t, exitOK, got.code, got.err)
	require.Empty(t, got.err)
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got.out), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got.out)
}

func TestExitCodesAndSentences(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.jsonl")
	require.NoError(t, os.WriteFile(broken, []byte("{\"alerts\":[]}\n"), 0o600))
	rollout := recordings + "rollout.jsonl"
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"help", exitOK, ""},
		{"replay --help", exitOK, ""},
		{"bla", exitUsage, `there is no command "bla", the commands are check, explain, record, redeliver, replay, tree, version`},
		{"tre", exitUsage, `there is no command "tre", did you mean tree?`},
		{"--bla", exitUsage, "unknown flag: --bla"},
		{"replay", exitUsage, "replay needs the file of a recording, or - for the standard input"},
		{"replay - -", exitUsage, "the standard input can be read only once"},
		{"replay --set threshold=1 " + rollout, exitUsage,
			`"threshold=1" is not a change of a policy, for instance default.threshold=10`},
		{"replay --compare-set default.threshold=0 " + rollout, exitUsage,
			"default.threshold: 0 is not a whole number between 1 and 1000"},
		{"replay --until never " + rollout, exitUsage, `--until "never" is not a duration of up to 500d, for instance 1h`},
		{"replay -o wide " + rollout, exitUsage, `invalid argument "wide" for "-o, --output" flag: it is one of json, yaml`},
		{"replay --incidents many " + rollout, exitUsage, `invalid argument "many" for "--incidents"`},
		{"replay /nowhere", exitError, "/nowhere cannot be read: no such file or directory"},
		{"replay --policies /nowhere " + rollout, exitError, "policies file: open /nowhere: no such file or directory"},
		{"replay " + rollout + " " + broken, exitError, broken + ":1: alerts: there are none"},
		{"replay -", exitError, "standard input: there is no alert in it"},
		{"explain a", exitError, "there is no kubeconfig: give --kubeconfig or set KUBECONFIG"},
		{"explain a b=1", exitUsage, `"a" is not a label, for instance alertname=DiskFull`},
		{"explain a=1 a=2", exitUsage, `"a=2": the label a is given twice`},
		{"explain a=", exitError, "labels: there are none"},
		{"explain -", exitError, "standard input: it is empty"},
		{"explain a=b --redis http://x", exitUsage, "is not a Redis URL"},
		{"explain a=b --redis redis://127.0.0.1:1/0", exitError, "asking Redis at redis://127.0.0.1:1/0: "},
		{"explain a=b --kubeconfig /nowhere", exitError, "reading the kubeconfig: "},
		{"tree", exitError, "there is no kubeconfig: give --kubeconfig or set KUBECONFIG"},
		{"tree -f /nowhere", exitError, "/nowhere cannot be read: no such file or directory"},
		{"tree -f testdata/incidents.yaml other", exitError, "there is no incident other"},
		{"tree --resources -1", exitUsage, "--resources -1 is not a number of resources"},
		{"tree -w -f testdata/incidents.yaml", exitUsage, "--watch is for a cluster, not for the file of --filename"},
		{"tree -w -o json", exitUsage, "--watch shows a text, not json"},
		{"tree --server http://127.0.0.1:1", exitError, "reading incidents from http://127.0.0.1:1: "},
		{"version 1", exitUsage, `version takes no arguments, and got "1"`},
		{"check", exitUsage, "check needs a policies file, or - for the standard input"},
		{"check - -", exitUsage, "the standard input can be read only once"},
		{"check /nowhere", exitError, "/nowhere cannot be read: no such file or directory"},
		{"tree -f " + recordings + "policies.yaml", exitError, `policies.yaml: kind: "" is not Incident`},
		{"tree -f -", exitError, "standard input: it contains no incidents"},
	} {
		got := call(t, "", strings.Fields(c.args)...)
		require.Equal(t, c.code, got.code, "%s: %s", c.args, got.err)
		if c.code == exitOK {
			require.Contains(t, got.out, "kubectl stormfold", c.args)
			continue
		}
		first, _, _ := strings.Cut(got.err, "\n")
		require.True(t, strings.HasPrefix(first, "kubectl stormfold: "), got.err)
		require.Contains(t, first, c.want, c.args)
		require.Empty(t, got.out, "nothing is half printed")
		require.Equal(t, c.code == exitUsage, strings.Contains(got.err, " --help'.\n"), got.err)
	}
	require.Contains(t, call(t, "", "tree", "--bla").err, "See 'kubectl stormfold tree --help'.\n")
}

// Each command has a help with an example, and each flag says what it is for.
func TestHelp(t *testing.T) {
	for _, c := range newRoot("kubectl-stormfold", streams{}).Commands() {
		require.NotEmpty(t, c.Short, c.Name())
		if c.Name() == "version" {
			continue
		}
		help := call(t, "", c.Name(), "--help").out
		for _, part := range []string{c.Long, "\nUsage:\n  kubectl stormfold " + c.Use, "\nExamples:\n  ", "\nFlags:\n"} {
			require.Contains(t, help, part, c.Name())
		}
	}
}

func TestVersion(t *testing.T) {
	require.Regexp(t, `^kubectl stormfold \S+ .*go1\.\S+ \w+/\w+\n$`, call(t, "", "version").out)
	require.Contains(t, call(t, "", "version", "-o", "json").out, `"goVersion": "go1.`)
	require.Contains(t, call(t, "", "version", "-o", "yaml").out, "goVersion: go1.")
}

// A program of another name names itself otherwise.
func TestNameOfTheProgram(t *testing.T) {
	var out bytes.Buffer
	require.Equal(t, exitOK, run(t.Context(), "stormctl", []string{"replay", "--help"}, streams{out: &out, err: &out}))
	require.Contains(t, out.String(), "stormctl replay FILE")
}
