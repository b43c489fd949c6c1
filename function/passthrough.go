package function

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
)

// Alerts of a policy with onRedisFailure: passthrough do not wait for Redis:
//
//	out   a fold that fails leaves an incident for each firing alert, written past Redis, and the event is refused all the same
//	in    its group takes the incident over by an import of it, and goes on with it as with one of its own
//
// The import has to come before the group writes anything of the same alert, and nobody may depend on the pod that wrote
// the incident. So it happens in three places, and importing twice changes nothing:
//
//   - the pod that folds what opens an incident or makes a storm looks for such incidents of that group before it writes;
//   - a pod that saw Redis fail looks for all of them as soon as Redis is back: a fold that timed out may have run late;
//   - every pod looks for all of them at its start and now and then, for the alerts of which nothing is heard any more.
//
// Should two incidents of one alert come to be all the same, the import marks one of them absorbed.
type passthrough struct {
	// failing: this pod has seen Redis fail since it last looked for incidents to take over.
	failing atomic.Bool
	// slots bounds how many events are passed through at once.
	slots gate

	mu sync.Mutex
	// standing are the names of incidents that this pod knows to stand, so that a redelivery costs no call. Emptied when Redis is back.
	standing map[string]bool
}

const (
	// passedAlerts is how many alerts of one event are passed through at most: two calls each, within the time of one.
	passedAlerts = 20
	// passedNames is how many names a pod remembers.
	passedNames = 10000
	// lookAgain is after how many sweep intervals a pod looks for incidents that nobody took over.
	lookAgain = 20
	// backFirst and backMost bound the pause between two looks for a Redis that failed. The most is well below a lease, which a
	// fold that ran late holds with nobody to use it.
	backFirst, backMost = time.Second, 8 * time.Second
)

func newPassthrough(slots int) *passthrough {
	return &passthrough{slots: newGate(slots), standing: map[string]bool{}}
}

func passesThrough(policy *config.Policy) bool {
	return policy.OnRedisFailure == config.OnRedisFailurePassthrough
}

// failed tells whether a group could not be folded because Redis fails, in whatever way.
func failed(err error) bool {
	return errors.Is(err, aggregator.ErrOutOfMemory) || errors.Is(err, aggregator.ErrTimeout) ||
		errors.Is(err, aggregator.ErrUnavailable) || errors.Is(err, aggregator.ErrRefused) || errors.Is(err, aggregator.ErrUntrusted)
}

// foldBudget leaves time for passing alerts through, when the event has some that may have to be.
func (p *pod) foldBudget(ctx context.Context, groups []aggregator.Group) (context.Context, context.CancelFunc) {
	if !slices.ContainsFunc(groups, func(g aggregator.Group) bool { return passesThrough(g.Policy) }) {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.settings.RequestTimeout-min(p.settings.KubeTimeout, p.settings.RequestTimeout/2))
}

// passThrough writes incidents for the firing alerts of the groups that Redis did not take.
func (p *pod) passThrough(ctx context.Context, groups []aggregator.Group, folded []aggregator.Folded) {
	ctx, cancel := context.WithTimeout(ctx, p.settings.KubeTimeout)
	defer cancel()
	left := passedAlerts
	for i, group := range groups {
		if !failed(folded[i].Err) || !passesThrough(group.Policy) {
			continue
		}
		p.passing.failing.Store(true)
		// An alert fires while one of its sources does; of two words from the same source resolved beats firing.
		type source struct{ fingerprint, source string }
		over := map[source]bool{}
		for _, alert := range group.Alerts {
			of := source{alert.Fingerprint, alert.Source}
			over[of] = over[of] || alert.Status == aggregator.Resolved
		}
		var lone []*aggregator.Snapshot
		told := map[string]bool{}
		for _, alert := range group.Alerts {
			if told[alert.Fingerprint] || over[source{alert.Fingerprint, alert.Source}] {
				continue
			}
			told[alert.Fingerprint] = true
			s := aggregator.Lone(group, alert, p.namespace(group), p.aggregator.Now())
			switch {
			case p.passing.knows(s.Objects[0].Name):
			case left == 0:
				p.metrics.passed("skipped", 1)
			default:
				lone = append(lone, s)
				left--
			}
		}
		if len(lone) > 0 {
			p.passGroup(ctx, lone)
		}
	}
}

// passGroup writes the incidents of one group. What it cannot do now, the next delivery of the event tries again.
func (p *pod) passGroup(ctx context.Context, lone []*aggregator.Snapshot) {
	if !p.passing.slots.enter() {
		p.metrics.passed("skipped", len(lone))
		return
	}
	defer p.passing.slots.leave()
	passed, err := p.projector.PassThrough(ctx, p.importNamespace(), lone)
	// Redis may be back by now, and a look for incidents to take over may have missed these.
	p.passing.failing.Store(true)
	for _, a := range passed {
		p.passing.remember(a.Name)
		if !a.Written {
			p.metrics.passed("standing", 1)
			continue
		}
		p.metrics.passed("written", 1)
		p.log.Warnw("incident written past Redis", "incident", a.Name, "group", lone[0].Group, "policy", lone[0].Policy)
	}
	if err != nil {
		p.metrics.passed("error", len(lone)-len(passed))
		p.log.Warnw("alerts cannot be passed through", "group", lone[0].Group, "passed", len(passed), "of", len(lone), "error", err)
	}
}

// takeOver imports what was passed through of the groups in which something is about to be written for the first time, and of
// all groups while this pod does not know that it has been done since Redis failed.
func (p *pod) takeOver(ctx context.Context, groups []aggregator.Group, folded []aggregator.Folded) {
	ctx, cancel := context.WithTimeout(ctx, p.settings.KubeTimeout)
	defer cancel()
	for i := range folded {
		f := &folded[i]
		begins := func(t aggregator.Transition) bool { return t.Type == aggregator.Opened || t.Type == aggregator.Stormed }
		if !passesThrough(groups[i].Policy) || f.Group == "" || !p.passing.failing.Load() && !slices.ContainsFunc(f.Transitions, begins) {
			continue
		}
		n, err := p.importPassed(ctx, f.Group)
		if err != nil {
			p.log.Warnw("incidents that were passed through cannot be taken over now", "group", f.Group, "error", err)
		}
		if n > 0 {
			// What was opened may be one of those now: the objects tell.
			f.Transitions = slices.DeleteFunc(f.Transitions, func(t aggregator.Transition) bool { return t.Type == aggregator.Opened })
		}
	}
}

// importPassed gives the incidents that were passed through to their groups: those of one, or (empty) of all.
func (p *pod) importPassed(ctx context.Context, group string) (int, error) {
	n := 0
	err := p.projector.ImportPassedThrough(ctx, p.importNamespace(), group, func(i aggregator.Imported) error {
		n++
		_, err := p.aggregator.Import(ctx, i, p.policies.Current().Named(i.Policy))
		if errors.Is(err, aggregator.ErrNotImported) {
			_, err = p.importShard(ctx, aggregator.ShardOf(i.Group), "")
		}
		return err
	})
	return n, err
}

// passedLoop takes over what was passed through by whomever: at the start, when Redis is back, and now and then.
func (p *pod) passedLoop(ctx context.Context) {
	next, wait := time.Now(), backFirst
	for first := true; ; first = false {
		failing := p.passing.failing.Swap(false)
		if failing || first || time.Now().After(next) && p.anyPassesThrough() {
			next = time.Now().Add(lookAgain*p.settings.SweepInterval/2 + rand.N(lookAgain*p.settings.SweepInterval))
			if err := p.guard(inPassing, func() error { return p.takeOverAll(ctx) }); err == nil {
				wait = backFirst
			} else {
				p.passing.failing.Store(true)
				wait = min(2*wait, backMost)
				if ctx.Err() == nil {
					p.log.Debugw("incidents that were passed through cannot be taken over yet", "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// takeOverAll asks Redis first, so that the API server is left alone while it is away.
func (p *pod) takeOverAll(ctx context.Context) error {
	ping, cancel := context.WithTimeout(ctx, p.settings.RedisTimeout)
	defer cancel()
	if err := p.aggregator.Ping(ping); err != nil {
		return err
	}
	n, err := p.importPassed(ctx, "")
	if err == nil {
		p.passing.forget()
		if n > 0 {
			p.log.Infow("open incidents that were passed through belong to their groups", "incidents", n)
		}
	}
	return err
}

// sawRedis is told what became of calls of Redis.
func (p *pod) sawRedis(err error) {
	if failed(err) && p.anyPassesThrough() {
		p.passing.failing.Store(true)
	}
}

func (p *pod) anyPassesThrough() bool {
	return slices.ContainsFunc(p.policies.Current().List, func(policy config.Policy) bool { return passesThrough(&policy) })
}

func (t *passthrough) knows(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.standing[name]
}

func (t *passthrough) remember(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.standing) < passedNames {
		t.standing[name] = true
	}
}

func (t *passthrough) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.standing)
}
