package faults

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// fault is one line of the table.
type fault struct {
	name string
	// long ones run only with STORMFOLD_TESTBED_FAULTS=all.
	long bool
	// forgets is true when Redis itself forgets what it acknowledged: the senders repeat before the verdict. These are
	// long ones: what comes right only with the import's second look takes 90 s.
	forgets bool
	// policies are those of the functions; empty: as in bed_test.go.
	policies string
	// redis are settings of the Redis server on top of those of deploy/redis/trial, lines of redis.conf.
	redis []string
	// sentinel makes it the servers and Sentinels of deploy/redis/ha.
	sentinel bool
	// masters makes it a Redis Cluster of so many masters, each with a replica.
	masters int
	// tls has the functions speak TLS with the Redis server.
	tls bool
	// clock gives the Redis server a clock that can be set.
	clock bool
	// options are those of the functions' URL of Redis: name=value&...
	options string
	// proxy puts one between the functions and Redis.
	proxy bool
	// api puts one between the functions and the API server.
	api bool
	// pods is how many functions there are; 0 is two.
	pods int
	// build is the function's program; nil is the one of the other tests.
	build func() (string, error)
	// env is what the nth function gets on top.
	env func(n int) []string
	// apart puts the functions' ServiceAccount into a namespace of its own.
	apart bool
	// skew is how far the clocks of senders are off.
	skew time.Duration
	// alone is true when nothing is sent but by the fault itself.
	alone bool
	// replicas is the number of replicas of Prometheus that report each alert; 0 is one.
	replicas int
	// every is the pause between two events; 0 is 15 ms, at which all are sent in about 3 s.
	every time.Duration
	// before runs when the functions are ready and nothing was sent.
	before func(*bed)
	// during is the fault. It begins when a third of the events was sent, and events are sent as long as it lasts. It
	// returns when everything works again.
	during func(*bed)
	// after checks the incidents when no more work is due.
	after func(*bed)
	// expect are answers of which there have to be some.
	expect []string
}

// TestFaults runs every fault: load, the fault in the middle of it, and the verdict when no more work is due.
func TestFaults(t *testing.T) {
	all := os.Getenv("STORMFOLD_TESTBED_FAULTS") == "all"
	chosen := func(faults []fault) []fault {
		return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.long && !all })
	}
	t.Run("kube", func(t *testing.T) {
		t.Parallel()
		own := testbed.ControlPlane(t)
		require.NoError(t, deploy(t.Context(), own))
		for _, f := range chosen(ownFaults()) {
			t.Run(f.name, func(t *testing.T) { f.run(t, own) })
		}
	})
	for _, f := range chosen(sharedFaults()) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t, shared)
		})
	}
}

// ownFaults have a control plane of their own, one after the other.
func ownFaults() []fault { return slices.Concat(apiServerFaults, brokerFaults) }

// sharedFaults leave the API server to the others.
func sharedFaults() []fault {
	return slices.Concat(
		redisFaults,
		sentinelFaults,
		clusterFaults,
		networkFaults,
		kubeFaults,
		apiFaults,
		flowFaults,
		writerFaults,
		sizeFaults,
		crowdFaults,
		clockFaults,
		namespaceFaults,
		podFaults,
		patienceFaults,
		sourceFaults,
		policyFaults,
		outageFaults,
	)
}

func (f fault) run(t *testing.T, c *testbed.Cluster) {
	b := newBed(t, c, f)
	if f.build != nil {
		var err error
		b.program, err = f.build()
		require.NoError(t, err)
	}
	for n := range cmp.Or(f.pods, 2) {
		var env []string
		if f.env != nil {
			env = f.env(n)
		}
		b.addPods(1, env...)
	}
	b.awaitReady()
	b.load(cmp.Or(f.every, 15*time.Millisecond))
	b.sender.Skew, b.sender.Replicas = f.skew, f.replicas
	if f.before != nil {
		f.before(b)
	}
	healed := f.load(b)
	if f.forgets {
		healed = time.Now()
		b.journal.Forgot()
		b.sender.repeat(t.Context())
	}
	within := 40 * time.Second
	if f.forgets {
		within = 130 * time.Second // A create that came late is found by the import's second look, after 90 s.
	}
	v, clean := b.settled(within)
	recovery := max(0, clean.Sub(healed))
	t.Logf("%s; recovered in %s", v, recovery.Round(time.Millisecond))
	table.add(row{f.name, f.forgets, v, recovery})
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	if t.Failed() || recovery > 10*time.Second {
		b.explain()
	}
	require.Zero(t, b.sender.gaveUp.Load(), "events that were given up")
	for answer := range maps.Keys(v.Answers) {
		fine := strings.HasPrefix(answer, "2") || answer == "no answer" ||
			strings.HasPrefix(answer, "503 ") && answer != "503 internal"
		require.True(t, fine, "answer %q", answer)
	}
	for _, answer := range f.expect {
		require.NotZero(t, v.Answers[answer], "answers %q", answer)
	}
	if f.after != nil {
		f.after(b)
	}
}

// load sends the load with the fault in the middle of it, and returns when all was sent and works again.
func (f fault) load(b *bed) time.Time {
	if f.alone {
		f.during(b)
		return time.Now()
	}
	over := make(chan struct{})
	var last, healed time.Time
	b.sender.run(b.t.Context(), over, func(n, of int) {
		last = time.Now()
		if n == of/3 {
			go func() {
				defer close(over)
				f.during(b)
				healed = time.Now()
			}()
		}
	})
	if healed.Before(last) {
		return last
	}
	return healed
}
