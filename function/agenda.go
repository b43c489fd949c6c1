package function

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// agenda remembers which groups this pod has to project, and when: the trailing edge of a flush interval. It is a
// convenience, not a store: what is due stands in Redis, and a pod that dies forgets nothing that matters.
type agenda struct {
	// project writes one group; at most as many run at once as slots has places.
	project func(group, token string, now bool, why cause)
	slots   chan struct{}

	mu      sync.Mutex
	entries map[string]*appointment
	closed  bool
	running sync.WaitGroup
}

// appointment is one remembered group.
type appointment struct {
	at    time.Time
	timer *time.Timer
	token string
	why   cause
	done  chan struct{}
}

// cause is the span on whose account a group is projected, for the trace of the projection; of several it is the latest. It is
// empty where nobody makes spans, or where time alone is the cause.
type cause struct {
	span trace.SpanContext
	// within: the span waits for the projection, which is a part of it then.
	within bool
}

func newAgenda(limit int, project func(group, token string, now bool, why cause)) *agenda {
	return &agenda{project: project, slots: make(chan struct{}, limit), entries: map[string]*appointment{}}
}

// add remembers a group for a time on this pod's clock; of two times the earlier counts. The channel closes when the
// group has been projected, or when the pod stops. A token is the lease to go on with; one that a fold granted is newer.
func (a *agenda) add(group string, at time.Time, token string, why cause) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.remember(group, at, why)
	if e.token == "" {
		e.token = token
	}
	return e.done
}

// remember puts a group on the list. The caller holds the lock.
func (a *agenda) remember(group string, at time.Time, why cause) *appointment {
	e := a.entries[group]
	if e == nil {
		e = &appointment{at: at, done: make(chan struct{})}
		if a.closed {
			close(e.done) // What is due stands in Redis: another pod carries on.
			return e
		}
		a.entries[group] = e
		e.timer = time.AfterFunc(time.Until(at), func() { a.run(group, e, false) })
	} else if at.Before(e.at) {
		e.at = at
		e.timer.Reset(time.Until(at))
	}
	if why.span.IsValid() {
		e.why = cause{span: why.span} // What waits in line outlives the span.
	}
	return e
}

// lead projects a group at once with the lease that a fold granted, if there is room; the channel closes when it has been
// projected. It is nil where all slots are taken: the group waits in line then, and nobody has to wait with it.
func (a *agenda) lead(group, token string, why cause) <-chan struct{} {
	select {
	case a.slots <- struct{}{}:
	default:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.remember(group, time.Now(), why).token = token
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entries[group]
	if e == nil {
		e = &appointment{done: make(chan struct{})}
	}
	e.token, e.why = token, why
	if a.closed {
		<-a.slots
		if a.entries[group] == nil {
			close(e.done) // What is due stands in Redis: another pod carries on.
		}
		return e.done
	}
	a.begin(group)
	go a.work(group, e, false)
	return e.done
}

// run projects one group when its time has come. An appointment runs once: whoever takes it off the list first.
func (a *agenda) run(group string, e *appointment, now bool) {
	a.slots <- struct{}{} // While it waits it stays on the list, so that the group waits once however often it is added.
	a.mu.Lock()
	if a.entries[group] != e {
		a.mu.Unlock()
		<-a.slots
		return
	}
	a.begin(group)
	a.mu.Unlock()
	a.work(group, e, now)
}

// begin takes a group off the list. The caller holds the lock and a slot.
func (a *agenda) begin(group string) {
	delete(a.entries, group)
	a.running.Add(1)
}

// work projects what begin took off the list, and gives the slot back.
func (a *agenda) work(group string, e *appointment, now bool) {
	defer func() { <-a.slots }()
	defer a.running.Done()
	defer close(e.done)
	a.project(group, e.token, now, e.why)
}

// draining tells whether nothing is remembered any more: what has to be done has to be done now.
func (a *agenda) draining() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// size is how many groups are remembered.
func (a *agenda) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.entries)
}

// drain projects everything that is remembered without waiting for its time, and takes nothing new. It returns when that
// is done.
func (a *agenda) drain() {
	a.mu.Lock()
	a.closed = true
	entries := make(map[string]*appointment, len(a.entries))
	for group, e := range a.entries {
		entries[group] = e
	}
	a.mu.Unlock()
	var all sync.WaitGroup
	for group, e := range entries {
		e.timer.Stop()
		all.Go(func() { a.run(group, e, true) })
	}
	all.Wait()
	a.running.Wait()
}
