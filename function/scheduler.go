package function

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// scheduler runs the projections of this pod's groups: at once if a fold granted the lease, otherwise at the end of the
// flush interval. Losing its state does no harm: what is due is in Redis, and another pod finds it if this one dies.
type scheduler struct {
	// project writes one group; slots limits how many run at once.
	project func(group, token string, now bool, why cause)
	slots   chan struct{}

	mu      sync.Mutex
	tasks   map[string]*task
	closed  bool
	running sync.WaitGroup
}

// task is the scheduled projection of one group.
type task struct {
	at    time.Time
	timer *time.Timer
	token string
	why   cause
	done  chan struct{}
}

// cause is the span that caused a projection, for its trace; of several, the latest. It is empty without traces, and if
// only time is the cause.
type cause struct {
	span trace.SpanContext
	// within: the span waits for the projection, which is then part of it.
	within bool
}

func newScheduler(limit int, project func(group, token string, now bool, why cause)) *scheduler {
	return &scheduler{project: project, slots: make(chan struct{}, limit), tasks: map[string]*task{}}
}

// schedule schedules the projection of a group at a time of this pod's clock; of two times the earlier counts. The
// channel closes when the group has been projected, or when the pod stops. A token is the lease to continue with; one
// that a fold granted is newer.
func (s *scheduler) schedule(group string, at time.Time, token string, why cause) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.put(group, at, why)
	if t.token == "" {
		t.token = token
	}
	return t.done
}

// put makes or changes the task of a group. The caller holds the lock.
func (s *scheduler) put(group string, at time.Time, why cause) *task {
	t := s.tasks[group]
	if t == nil {
		t = &task{at: at, done: make(chan struct{})}
		if s.closed {
			close(t.done) // Another pod finds the group in Redis.
			return t
		}
		s.tasks[group] = t
		t.timer = time.AfterFunc(time.Until(at), func() { s.run(group, t, false) })
	} else if at.Before(t.at) {
		t.at = at
		t.timer.Reset(time.Until(at))
	}
	if why.span.IsValid() {
		t.why = cause{span: why.span} // A task outlives the span.
	}
	return t
}

// start projects a group at once with the lease that a fold granted, if a slot is free; the channel closes when it has
// been projected. It is nil if all slots are taken: the group waits for one, and the event does not wait for the group.
func (s *scheduler) start(group, token string, why cause) <-chan struct{} {
	select {
	case s.slots <- struct{}{}:
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.put(group, time.Now(), why).token = token
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[group]
	if t == nil {
		t = &task{done: make(chan struct{})}
	}
	t.token, t.why = token, why
	if s.closed {
		<-s.slots
		if s.tasks[group] == nil {
			close(t.done) // Another pod finds the group in Redis.
		}
		return t.done
	}
	s.begin(group)
	go s.work(group, t, false)
	return t.done
}

// run projects one group when it is due. A task runs once, for the first caller that takes it off the map.
func (s *scheduler) run(group string, t *task, now bool) {
	// While it waits it stays on the map, so that the group waits once however often it is scheduled.
	s.slots <- struct{}{}
	s.mu.Lock()
	if s.tasks[group] != t {
		s.mu.Unlock()
		<-s.slots
		return
	}
	s.begin(group)
	s.mu.Unlock()
	s.work(group, t, now)
}

// begin removes a task from the map. The caller holds the lock and a slot.
func (s *scheduler) begin(group string) {
	delete(s.tasks, group)
	s.running.Add(1)
}

// work projects what begin removed from the map, and frees the slot.
func (s *scheduler) work(group string, t *task, now bool) {
	defer func() { <-s.slots }()
	defer s.running.Done()
	defer close(t.done)
	s.project(group, t.token, now, t.why)
}

// draining reports whether the pod stops: nothing is scheduled any more, so all work is done at once.
func (s *scheduler) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// size is the number of scheduled groups.
func (s *scheduler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tasks)
}

// drain projects all scheduled groups at once, accepts no new ones, and returns when it is done.
func (s *scheduler) drain() {
	s.mu.Lock()
	s.closed = true
	tasks := make(map[string]*task, len(s.tasks))
	for group, t := range s.tasks {
		tasks[group] = t
	}
	s.mu.Unlock()
	var all sync.WaitGroup
	for group, t := range tasks {
		t.timer.Stop()
		all.Go(func() { s.run(group, t, true) })
	}
	all.Wait()
	s.running.Wait()
}
