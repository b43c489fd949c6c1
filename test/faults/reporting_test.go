package faults

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// reporting is a real Alertmanager with the source behind it. What it was told is the truth that the journal has; the
// events that the journal counts are its notifications.
type reporting struct {
	*bed
	alertmanager *testbed.AlertmanagerServer

	mu      sync.Mutex
	seen    map[[sha256.Size]byte]func(int, string) // By a notification's body: notes its answers.
	last    map[string]answer                       // The last one of each of Alertmanager's groups.
	tried   map[told]bool                           // What any notification said.
	started map[string]time.Time                    // When an alert began to fire, by its fingerprint.
}

// told is what a notification says of an alert.
type told struct{ Fingerprint, Status string }

// answer is one to a notification.
type answer struct {
	code int
	at   time.Time
}

const (
	interval = time.Second      // Alertmanager's group_interval.
	tried    = 12 * time.Second // A notification is tried for the interval, and for 10 s at least.
)

// report starts an Alertmanager that sends to a source, and the source with these variables.
func (b *bed) report(environ ...string) *reporting {
	b.t.Helper()
	r := &reporting{
		bed: b, seen: map[[sha256.Size]byte]func(int, string){}, last: map[string]answer{}, started: map[string]time.Time{},
		tried: map[told]bool{},
	}
	binary, err := buildCommand("alertmanager-source", filepath.Join(b.t.TempDir(), "alertmanager-source"), raceFlag...)
	require.NoError(b.t, err)
	listen := fmt.Sprintf("127.0.0.1:%d", testbed.Port(b.t))
	testbed.Start(b.t, "source", append([]string{
		"STORMFOLD_SOURCE_ADDRESS=" + listen, "STORMFOLD_SOURCE_METRICS_ADDRESS=off",
	}, environ...), binary)
	b.await(20*time.Second, func() error {
		response, err := http.Get("http://" + listen + "/healthz")
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: listen}) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.note(w, q, proxy) }))
	b.t.Cleanup(webhook.Close)
	r.alertmanager = testbed.Alertmanager(b.t, fmt.Sprintf(`
route: {receiver: stormfold, group_by: [alertname, namespace], group_wait: 200ms, group_interval: %s, repeat_interval: 1h}
receivers:
- name: stormfold
  webhook_configs: [{url: %q, send_resolved: true}]
`, interval, webhook.URL))
	return r
}

// note passes a notification on and notes the answer.
func (r *reporting) note(w http.ResponseWriter, q *http.Request, to http.Handler) {
	body, err := io.ReadAll(q.Body)
	var notification struct {
		GroupKey string
		Alerts   []struct{ Fingerprint, Status string }
	}
	if err == nil {
		err = json.Unmarshal(body, &notification)
	}
	if !assert.NoError(r.t, err) {
		return
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	id := sha256.Sum256(body)
	r.mu.Lock()
	answered := r.seen[id]
	if answered == nil {
		answered = r.journal.Sending()
		r.seen[id] = answered
	}
	for _, a := range notification.Alerts {
		r.tried[told(a)] = true
	}
	r.mu.Unlock()
	got := httptest.NewRecorder()
	to.ServeHTTP(got, q)
	if q.Context().Err() != nil {
		got.Code = 0 // Alertmanager has gone and saw none.
	}
	_, said, theSinks := strings.Cut(got.Body.String(), "Service Unavailable: ")
	if !theSinks {
		said = "source: " + got.Body.String()
	}
	answered(got.Code, said)
	r.mu.Lock()
	r.last[notification.GroupKey] = answer{got.Code, time.Now()}
	r.mu.Unlock()
	if got.Code == 0 {
		return
	}
	w.WriteHeader(got.Code)
	_, _ = w.Write(got.Body.Bytes()) // Alertmanager may have gone.
}

// tell tells Alertmanager that alerts fire, or that they are over, and returns what the latest report about each has to
// be.
func (r *reporting) tell(firing bool, alerts ...subject) []Word {
	r.t.Helper()
	now := time.Now().UTC()
	var words []Word
	var posted []map[string]any
	for _, a := range alerts {
		if firing {
			r.started[a.fingerprint] = now
		}
		ends := now
		if firing {
			ends = now.Add(time.Hour) // Without it Alertmanager resolves an alert that is not sent for five minutes.
		}
		posted = append(posted, map[string]any{
			"labels": a.labels, "startsAt": r.started[a.fingerprint].Format(time.RFC3339Nano),
			"endsAt": ends.Format(time.RFC3339Nano),
		})
		words = append(words, Word{
			Fingerprint: a.fingerprint, Group: a.group, Rack: a.labels["rack"], Firing: firing, At: now,
		})
	}
	body, err := json.Marshal(posted)
	require.NoError(r.t, err)
	response, err := http.Post(r.alertmanager.URL+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if assert.NoError(r.t, err) {
		assert.NoError(r.t, response.Body.Close())
		assert.Equal(r.t, http.StatusOK, response.StatusCode)
	}
	return words
}

// some are the alerts of all groups of that name whose number is at least from and below to.
func (r *reporting) some(name string, groups, from, to int) []subject {
	var all []subject
	for g := range groups {
		for n := from; n < to; n++ {
			all = append(all, r.sender.subject(fmt.Sprintf("%s%d", name, g), n))
		}
	}
	return all
}

// awaitClean waits until all that has to stand stands.
func (r *reporting) awaitClean() {
	r.t.Helper()
	r.await(30*time.Second, func() error {
		items, err := r.list(r.t.Context())
		if err != nil {
			return err
		}
		return Check(r.journal, items).Err()
	})
}

// awaitTried waits until Alertmanager has tried to report the alerts.
func (r *reporting) awaitTried(firing bool, alerts []subject) {
	r.t.Helper()
	r.await(30*time.Second, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range alerts {
			if !r.tried[told{a.fingerprint, word(firing)}] {
				return fmt.Errorf("Alertmanager did not report that %v is %s", a.labels, word(firing))
			}
		}
		return nil
	})
}

// awaitToldAll waits until Alertmanager has nothing more to say: no notification comes for several intervals, and each
// group's last one was taken, or is given up.
func (r *reporting) awaitToldAll() {
	r.t.Helper()
	r.await(40*time.Second, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for group, last := range r.last {
			if since := time.Since(last.at); since < 4*interval || last.code/100 != 2 && since < tried {
				return fmt.Errorf("a notification of %s was answered %d %s ago", group, last.code, since)
			}
		}
		return nil
	})
}
