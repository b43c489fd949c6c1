package testbed

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// EventSink is an addressable that keeps every event it gets.
type EventSink struct {
	URL string

	codes      []int
	mu         sync.Mutex
	attempts   map[string]int
	deliveries []Delivery
}

// Delivery is one delivery of an event to an EventSink, and what was answered.
type Delivery struct {
	Event cloudevents.Event
	Code  int
}

// Sink starts an EventSink for a test. It answers the deliveries of each event with the codes in turn and then always
// with the last of them; without codes with 200.
func Sink(t testing.TB, codes ...int) *EventSink {
	t.Helper()
	if len(codes) == 0 {
		codes = []int{http.StatusOK}
	}
	s := &EventSink{codes: codes, attempts: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// ServeHTTP takes an event. Probes, which are not POSTs, are answered and ignored.
func (s *EventSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	event, err := cloudevents.NewEventFromHTTPRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	attempt := s.attempts[event.ID()]
	s.attempts[event.ID()]++
	code := s.codes[min(attempt, len(s.codes)-1)]
	s.deliveries = append(s.deliveries, Delivery{Event: *event, Code: code})
	s.mu.Unlock()
	w.WriteHeader(code)
}

// Deliveries returns what was delivered so far, in the order of arrival.
func (s *EventSink) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deliveries)
}

// Wait waits until an event that matches was accepted and returns the first.
func (s *EventSink) Wait(t testing.TB, what string, match func(cloudevents.Event) bool) cloudevents.Event {
	t.Helper()
	var found cloudevents.Event
	Eventually(t, time.Minute, what, func(context.Context) error {
		deliveries := s.Deliveries()
		for _, d := range deliveries {
			if d.Code/100 == 2 && match(d.Event) {
				found = d.Event
				return nil
			}
		}
		return fmt.Errorf("not among %d deliveries", len(deliveries))
	})
	return found
}
