package function

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// scheduler runs the projections of this pod's groups: at once where a fold granted the lease, at the end of the flush
// interval otherwise. It keeps nothing that matters: what is due is in Redis, and another pod finds it when this
// one dies.
type scheduler struct {
	// project writes one group; at most as many run at once as slots has places.
	project func(group, token string, now bool, why cause)
	slots   chan struct{}

	mu      sync.Mutex
	tasks   map[string]*task
	closed  bool
	running sync.WaitGroup
}

// task is the projection of one group, to come.
type task struct {
	at    time.Time
	timer *time.Timer
	token string
	why   cause
	done  chan struct{}
}

// cause is the span on whose account a group is projected, for the trace of the projection; of several it is the
// latest. It is empty where nobody makes spans, and where time alone is the cause.
type cause struct {
	span trace.SpanContext
	// within: the span waits for the projection, which is a part of it then.
	within bool
}

func newScheduler(limit int, project func(group, token string, now bool, why cause)) *scheduler {
	return &scheduler{project: project, slots: make(chan struct{}, limit), tasks: map[string]*task{}}
}

// schedule has a group projected at a time of this pod's clock; of two times the earlier counts. The channel closes
// when the group has been projected, or when the pod stops. A token is the lease to go on with; one that a fold granted
// is newer.
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

// start projects a group at once with the lease that a fold granted, if there is room; the channel closes when it has
// been projected. It is nil where all slots are taken: the group waits for one then, and nobody has to wait with it.
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

// run projects one group when its time has come. A task runs once: for whoever takes it off the map first.
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

// begin takes a task off the map. The caller holds the lock and a slot.
func (s *scheduler) begin(group string) {
	delete(s.tasks, group)
	s.running.Add(1)
}

// work projects what begin took off the map, and gives the slot back.
func (s *scheduler) work(group string, t *task, now bool) {
	defer func() { <-s.slots }()
	defer s.running.Done()
	defer close(t.done)
	s.project(group, t.token, now, t.why)
}

// draining tells whether nothing is scheduled any more: what has to be done has to be done now.
func (s *scheduler) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// size is how many groups are scheduled.
func (s *scheduler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tasks)
}

// drain projects everything that is scheduled without waiting for its time, and takes nothing new. It returns when that
// is done.
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
