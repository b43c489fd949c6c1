// Package faults holds the tests of the promise that nothing is lost: the whole function on real servers, while those
// servers, the network between them, or the function itself fail.
//
// A test sends alerts the way a Trigger does and keeps a journal of every event and of its answers (journal.go,
// load.go). When the fault is over and no more work is due, the checker compares the incidents in Kubernetes with the
// journal (checker.go); anything but 0 lost, 0 doubled and 0 wrong fails. At the end one table shows all of them.
//
// STORMFOLD_TESTBED_FAULTS=all runs the long faults too, and STORMFOLD_TESTBED_FAULTS_TABLE names the document into
// which the table is written: see make faults.
package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Word is what an event says about one alert.
type Word struct {
	// Fingerprint of the alert: 16 hex digits.
	Fingerprint string
	// Source identifies the sender: an alert fires while it does according to the latest report of any source.
	Source string
	// Group is the alert's group: the values of namespace and alertname.
	Group string
	// Rack is the alert's label rack, by which incidents are part of an outage; empty for none.
	Rack string
	// Firing is false for a resolution.
	Firing bool
	// At is when it was said, in whole milliseconds, as the fold compares.
	At time.Time
}

// newer tells whether a word counts more than another one about the same alert: the later one, and of two at the same
// time the resolution.
func (w Word) newer(than Word) bool {
	if w.At.Equal(than.At) {
		return !w.Firing && than.Firing
	}
	return w.At.After(than.At)
}

// Journal remembers every event and every answer. It is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	events  []*event
	answers map[string]int
	refused int
	forgot  bool
	// regrouped is set before anything is sent.
	regrouped bool
}

// event is one that was sent at least once.
type event struct {
	words []Word
	taken bool
	// truth marks what is known without an event.
	truth bool
}

// NewJournal is an empty journal.
func NewJournal() *Journal { return &Journal{answers: map[string]int{}} }

// Sending notes an event before it is sent for the first time, and returns the function that notes each answer to it.
// An answer is a code, 0 for none, with what it said.
func (j *Journal) Sending(words ...Word) (answered func(code int, text string)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &event{words: words}
	j.events = append(j.events, e)
	return func(code int, text string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if code/100 == 2 {
			e.taken = true
		} else {
			j.refused++
		}
		j.answers[answerKey(code, text)]++
	}
}

// Truth notes what is known without an event: it must be reported in the end or, if that is not certain, may be.
func (j *Journal) Truth(certain bool, words ...Word) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, &event{words: words, taken: certain, truth: true})
}

// Forgot notes that Redis forgot what it had acknowledged: alerts that are over need not be reported again.
func (j *Journal) Forgot() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forgot = true
}

// Regrouped notes that policies change: an alert that ended and fires again may be over in one group and fire in
// another.
func (j *Journal) Regrouped() { j.regrouped = true }

// answerKey is how answers are counted: by code, and a refusal for now by its reason too.
func answerKey(code int, text string) string {
	switch reason, _, found := strings.Cut(text, ":"); {
	case code == 0:
		return "no answer"
	case code/100 != 2 && found && !strings.ContainsAny(reason, " \n"):
		return fmt.Sprintf("%d %s", code, reason)
	default:
		return fmt.Sprint(code)
	}
}

// Answers counts the answers so far.
func (j *Journal) Answers() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.answers)
}

// Latest are the newest words of taken events, one for each source of each alert, in order of time.
func (j *Journal) Latest() []Word {
	var out []Word
	for _, a := range j.alerts() {
		for _, s := range a.sources {
			if s.word != nil {
				out = append(out, *s.word)
			}
		}
	}
	slices.SortFunc(out, func(a, b Word) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.Source, b.Source))
	})
	return out
}

// alert is what the journal knows of one alert.
type alert struct {
	group, rack string
	// word is the newest one of a taken event; nil when no event about it was taken.
	word *Word
	// sources are what each of them said.
	sources map[string]*said
	// forgotten is true when Redis may have forgotten it.
	forgotten bool
}

// said is what the journal knows of one source of an alert.
type said struct {
	// word is the newest one of a taken event; nil when there is none.
	word *Word
	// maybe are the words of events that were not taken, as far as the sender knows. A time-out tells nothing about what
	// the function did, so their word may count or not.
	maybe []Word
}

// mayBe tells whether the source may have said that last.
func (s *said) mayBe(firing bool) bool {
	if s.word != nil && s.word.Firing == firing {
		return true
	}
	return slices.ContainsFunc(s.maybe, func(w Word) bool {
		return w.Firing == firing && (s.word == nil || w.newer(*s.word))
	})
}

// mayBe tells whether the alert may be in that state: it fires by any source, and is over by all that are known.
func (a *alert) mayBe(firing bool) bool {
	may := false
	for _, s := range a.sources {
		may = may || s.mayBe(firing)
		if !firing && s.word != nil && !s.mayBe(false) {
			return false
		}
	}
	return may
}

func (j *Journal) alerts() map[string]*alert {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := map[string]*alert{}
	for _, e := range j.events {
		for _, w := range e.words {
			a := out[w.Fingerprint]
			if a == nil {
				a = &alert{group: w.Group, rack: w.Rack, sources: map[string]*said{}, forgotten: j.forgot}
				out[w.Fingerprint] = a
			}
			s := a.sources[w.Source]
			if s == nil {
				s = &said{}
				a.sources[w.Source] = s
			}
			if !e.taken {
				s.maybe = append(s.maybe, w)
				continue
			}
			if s.word == nil || w.newer(*s.word) {
				s.word = &w
			}
			if a.word == nil || w.newer(*a.word) {
				a.word = &w
			}
		}
	}
	return out
}

// counts are the events sent and the answers that were no 2xx.
func (j *Journal) counts() (events, refused int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.events {
		if !e.truth {
			events++
		}
	}
	return events, j.refused
}
