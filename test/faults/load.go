package faults

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/model"
)

// Load says what is sent: storms of many alerts, and groups that stay below the threshold. Every alert fires; some are
// resolved later, of every fourth storm all; single alerts may fire again. One event in ten is delivered twice.
type Load struct {
	// Namespace is the label namespace of all alerts.
	Namespace string
	// URLs are the functions; each try goes to any of them, as through a Service.
	URLs []string
	// Storms is how many groups there are of StormAlerts alerts each.
	Storms, StormAlerts int
	// Singles is how many groups there are of three alerts each.
	Singles int
	// Every is the pause between two events.
	Every time.Duration
	// Tries is how often an event is tried until it is given up.
	Tries int
	// Replicas is the number of replicas of Prometheus that report each alert, whose labels then name the replica and the
	// exporter too; 0 is one that names nothing.
	Replicas int
	// Skew is how far the clock of a sender is off: every event is from one whose clock is ahead, or behind, or right.
	Skew time.Duration
	// Seed of what is random.
	Seed uint64
}

// deliveries is how many events are on their way at once, at most.
const deliveries = 256

// sender delivers a Load.
type sender struct {
	Load
	journal *Journal
	client  *http.Client
	sent    atomic.Int64
	gaveUp  atomic.Int64

	mu       sync.Mutex
	exporter string                    // Its instance.
	body     map[string]map[string]any // What is sent about each alert by each source, whatever its status.
	firing   map[string]planned        // What was sent last, where that was firing.
	ended    map[string]time.Time      // When the last resolution was first sent.
}

func newSender(l Load, j *Journal) *sender {
	return &sender{
		Load: l, journal: j, exporter: "10.0.0.1:8080",
		body: map[string]map[string]any{}, firing: map[string]planned{}, ended: map[string]time.Time{},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: deliveries}, Timeout: 10 * time.Second},
	}
}

// subject is one alert of the plan.
type subject struct {
	group, fingerprint string
	labels             map[string]string
}

func (s *sender) subject(name string, n int) subject {
	labels := map[string]string{
		"alertname": name, "namespace": s.Namespace, "pod": fmt.Sprintf("web-%d", n),
		"severity": []string{"critical", "warning"}[n%2],
	}
	if digit := int(name[len(name)-1]) - '0'; 0 <= digit && digit <= 9 {
		labels["rack"] = fmt.Sprintf("rack-%d", digit%racks)
	}
	if s.Replicas > 0 {
		labels["job"] = exporter
	}
	return subject{group: s.Namespace + "/" + name, fingerprint: fingerprintOf(labels), labels: labels}
}

// racks is how many racks there are, by the last digit of the alerts' names: the incidents of each are one outage.
const racks = 4

// fingerprintOf is Alertmanager's own for that label set.
func fingerprintOf(labels map[string]string) string {
	set := model.LabelSet{}
	for k, v := range labels {
		set[model.LabelName(k)] = model.LabelValue(v)
	}
	return set.Fingerprint().String()
}

// planned is what an event will say about one alert, when its place in the plan has come.
type planned struct {
	subject
	firing bool
	place  float64
	source map[string]string // Labels on top of the alert's own; nil when the exporter of the time is to be among them.
	// replica is the one that reports it; 0 is all.
	replica int
}

// plan is the events in order, each with what it says about one to four alerts.
func (s *sender) plan() [][]planned {
	random := rand.New(rand.NewPCG(s.Seed, 1))
	var fires, later []planned
	for g := range s.Storms {
		for n := range s.StormAlerts {
			a := planned{subject: s.subject(fmt.Sprintf("Storm%d", g), n), firing: true}
			a.place = random.Float64() * 100
			fires = append(fires, a)
			if g%4 == 0 || random.IntN(10) < 4 {
				later = append(later, planned{subject: a.subject, place: a.place + 2 + random.Float64()*30})
			}
		}
	}
	for g := range s.Singles {
		for n := range 3 {
			a := planned{subject: s.subject(fmt.Sprintf("Single%d", g), n), firing: true}
			a.place = random.Float64() * 100
			fires = append(fires, a)
			if random.IntN(2) == 0 {
				over := a.place + 2 + random.Float64()*30
				later = append(later, planned{subject: a.subject, place: over})
				if random.IntN(2) == 0 {
					later = append(later, planned{subject: a.subject, firing: true, place: over + 2 + random.Float64()*30})
				}
			}
		}
	}
	all := append(fires, later...)
	slices.SortStableFunc(all, func(a, b planned) int { return cmp.Compare(a.place, b.place) })
	var events [][]planned
	for len(all) > 0 {
		n := 1
		if random.IntN(2) == 0 {
			n = distinct(all[:min(len(all), 1+random.IntN(4))])
		}
		events = append(events, all[:n])
		all = all[n:]
	}
	return events
}

// distinct is how many of the first reports are about different alerts: a notification reports an alert once.
func distinct(reports []planned) int {
	seen := map[string]bool{}
	for n, p := range reports {
		if seen[p.fingerprint] {
			return n
		}
		seen[p.fingerprint] = true
	}
	return len(reports)
}

// run sends the whole plan, and then repeats what fires until over is closed. It returns when every event was taken,
// refused permanently, or given up. It calls reached with the number of the event that comes next, before it.
func (s *sender) run(ctx context.Context, over <-chan struct{}, reached func(n, of int)) {
	random := rand.New(rand.NewPCG(s.Seed, 2))
	slots := make(chan struct{}, deliveries)
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	send := func(e []planned, times int) {
		header, body, answered := s.prepare(e)
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			for range times {
				s.deliver(ctx, header, body, answered)
			}
		})
	}
	events := s.plan()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if i < len(events) {
			reached(i, len(events))
			times := 1
			if random.IntN(10) == 0 {
				times = 2
			}
			for _, e := range s.told(events[i], random) {
				send(e, times)
			}
			continue
		}
		select {
		case <-over:
			return
		default:
		}
		if latest := s.journal.Latest(); len(latest) > 0 {
			if w := latest[random.IntN(len(latest))]; w.Firing {
				send([]planned{s.again(w)}, 1)
			}
		}
	}
}

// again is a word that will be said once more.
func (s *sender) again(w Word) planned {
	s.mu.Lock()
	defer s.mu.Unlock()
	labels, _ := s.body[w.Source]["labels"].(map[string]string)
	return planned{subject: subject{w.Group, w.Fingerprint, labels}, firing: w.Firing, source: map[string]string{}}
}

// repeat sends the latest state of every alert once more, as new notifications, and returns when all are accepted or
// given up.
func (s *sender) repeat(ctx context.Context) {
	var all sync.WaitGroup
	slots := make(chan struct{}, deliveries)
	for chunk := range slices.Chunk(s.journal.Latest(), 10) {
		var again []planned
		for _, w := range chunk {
			again = append(again, s.again(w))
		}
		header, body, answered := s.prepare(again)
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			s.deliver(ctx, header, body, answered)
		})
	}
	all.Wait()
}

// prepare makes an event, from now on in the journal: header, body, and a function for the answers.
func (s *sender) prepare(e []planned) (map[string]string, []byte, func(int, string)) {
	now := time.Now().Add(time.Duration(rand.IntN(3)-1) * s.Skew).UTC().Truncate(time.Millisecond)
	var words []Word
	var alerts []map[string]any
	s.mu.Lock()
	for _, p := range e {
		labels := s.labels(p)
		source := fingerprintOf(labels)
		a := s.body[source]
		if a == nil {
			a = map[string]any{
				"labels": labels, "fingerprint": source, "startsAt": now.Format(time.RFC3339Nano),
				"annotations": map[string]string{"summary": p.labels["pod"] + " is in trouble"},
			}
			s.body[source] = a
		}
		if p.firing && !s.ended[source].IsZero() {
			a["startsAt"] = now.Format(
				time.RFC3339Nano,
			) // It fires again; an earlier start would be about the firing that is over.
		}
		said := map[string]any{"status": word(p.firing), "endsAt": "0001-01-01T00:00:00Z"}
		if p.firing {
			delete(s.ended, source)
			s.firing[source] = p
		} else {
			delete(s.firing, source)
			if s.ended[source].IsZero() {
				s.ended[source] = now
			}
			said["endsAt"] = s.ended[source].Format(time.RFC3339Nano)
		}
		for k, v := range a {
			said[k] = v
		}
		alerts = append(alerts, said)
		words = append(words, Word{
			Fingerprint: p.fingerprint, Source: source, Group: p.group, Rack: p.labels["rack"], Firing: p.firing, At: now,
		})
	}
	s.mu.Unlock()
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": "firing", "receiver": "stormfold", "alerts": alerts,
	})
	if err != nil {
		panic(err) // Strings and maps of them always marshal.
	}
	return map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": "io.prometheus.alertmanager.notification.v1",
		"Ce-Source": "/faults", "Ce-Id": uuid.NewString(), "Ce-Time": now.Format(time.RFC3339Nano),
	}, body, s.journal.Sending(words...)
}

// deliver tries an event like a Trigger: the same event again, after a growing pause, as long as a retry may
// help.
func (s *sender) deliver(ctx context.Context, header map[string]string, body []byte, answered func(int, string)) {
	pause := 50 * time.Millisecond
	for range s.Tries {
		code, text := s.post(ctx, s.URLs[rand.IntN(len(s.URLs))], header, body)
		answered(code, text)
		s.sent.Add(1)
		switch {
		case code/100 == 2:
			return
		case code != 0 && code/100 != 5 && code != 404 && code != 408 && code != 409 && code != 429:
			s.gaveUp.Add(1)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, 500*time.Millisecond)
	}
	s.gaveUp.Add(1)
}

func (s *sender) post(ctx context.Context, url string, header map[string]string, body []byte) (int, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return 0, err.Error() // Half an answer is none.
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}
