package aggregator

import (
	"cmp"
	"slices"
	"time"

	"github.com/stormfold/stormfold/config"
)

// oracle is a group as docs/design.md describes it, in plain Go: no keys, no scores, no revisions. The random programs of
// program_test.go hold the scripts to it.
type oracle struct {
	policy    config.Policy
	alerts    map[string]*word
	incidents []*incident
	storm     *incident // The open storm, or the resolved one within its cooldown.
	cool      bool
	endedAt   time.Time // Of the storm in its cooldown.
	heard     time.Time
	recent    map[string]time.Time
	beyond    int
	truncated bool
	cut       bool // The event at hand is truncated.
}

// word is the latest that was said of an alert.
type word struct {
	status   Status
	at, ends time.Time
	// closed: its incident ended by time while it fired. past: it belonged to a storm that is over.
	closed, past bool
	// member of the storm. hidden: over, and not shown in an incident; since is what its last incident knew of it.
	member, hidden bool
	since          time.Time
	single         *incident
}

// incident is an object that was, or will be, written.
type incident struct {
	name, fingerprint string
	storm             bool
	state             State
	reason            string
	opened, heard     time.Time
	ended             time.Time
	reopened          int
	absorbedBy        *incident
	told              bool // A pod was told to write it.
	pending           bool // Open when the storm began: to be absorbed.
	order             int
	cut               bool // By a truncated event.
	total, firing     int  // Of a storm that ended.
}

func newOracle(p config.Policy) *oracle {
	return &oracle{policy: p, alerts: map[string]*word{}, recent: map[string]time.Time{}}
}

func (w *word) live() bool { return w != nil && w.status == Firing && !w.closed && !w.past }

// counts are the storm's members, and those of them that fire.
func (m *oracle) counts() (total, firing int) {
	for _, w := range m.alerts {
		if w.past || !w.member {
			continue
		}
		total++
		if w.live() {
			firing++
		}
	}
	return total, firing
}

func (m *oracle) overdue(i *incident, now time.Time) string {
	heard := i.heard
	if i.storm {
		heard = m.heard
	}
	switch {
	case now.Sub(i.opened) >= m.policy.MaxDuration:
		return "MaxDuration"
	case now.Sub(heard) >= m.policy.Quiet:
		return "Quiet"
	}
	return ""
}

// age applies what time does to the storm.
func (m *oracle) age(now time.Time) {
	if m.storm != nil && !m.cool {
		if why := m.overdue(m.storm, now); why != "" {
			m.end(why, now)
		}
	}
	if m.cool && now.Sub(m.endedAt) >= m.policy.Cooldown {
		m.forget()
	}
}

// end resolves the storm. After AllResolved it may be reopened for a while.
func (m *oracle) end(why string, now time.Time) {
	m.storm.state, m.storm.reason, m.storm.ended = Ended, why, now
	m.storm.total, m.storm.firing = m.counts()
	m.storm.total += m.beyond
	if why == "AllResolved" {
		m.cool, m.endedAt = true, now
		return
	}
	m.forget()
}

// forget makes all that the group knew of the storm a thing of the past.
func (m *oracle) forget() {
	if m.cool { // Alerts may have joined it since it was over.
		m.storm.total, m.storm.firing = m.counts()
		m.storm.total += m.beyond
	}
	for _, w := range m.alerts {
		w.past, w.member = true, false
	}
	m.storm, m.cool, m.beyond, m.truncated = nil, false, 0, false
}

// endSingle resolves a lone alert's incident.
func (m *oracle) endSingle(i *incident, why string, now time.Time) {
	i.state, i.reason, i.ended = Ended, why, now
}

// fold joins the alerts of one event.
func (m *oracle) fold(alerts []Alert, truncated bool, now time.Time) {
	m.age(now)
	untracked := 0
	m.cut = truncated
	for _, a := range slices.SortedStableFunc(slices.Values(alerts), func(a, b Alert) int { return cmp.Compare(a.Status, b.Status) }) {
		m.join(a, now, &untracked)
	}
	m.heard = now
	if m.storm != nil && !m.cool {
		m.truncated = m.truncated || truncated
		if _, firing := m.counts(); firing == 0 && !m.truncated {
			m.end("AllResolved", now)
		}
	}
}

func (m *oracle) join(a Alert, now time.Time, untracked *int) {
	w := m.alerts[a.Fingerprint]
	if w.live() && m.storm == nil && w.single.state == Open {
		if why := m.overdue(w.single, now); why != "" {
			m.endSingle(w.single, why, now)
			w.closed = true
		}
	}
	later := w == nil || a.NotifiedAt.After(w.at) ||
		a.NotifiedAt.Equal(w.at) && a.Status == Resolved && w.status == Firing
	fresh := a.Status == Resolved && now.Sub(a.EndsAt.Truncate(time.Second)) <= m.policy.Cooldown
	// A tombstone is shown when a word tells that there was something to show.
	tells := w != nil && w.hidden && (a.Status == Firing && a.NotifiedAt.After(w.since) || fresh && w.since.IsZero())
	switch {
	case !later:
		if tells {
			m.show(a, w, w.at, w.ends, now, untracked)
		}
	case a.Status == Firing && w.live():
		w.at = a.NotifiedAt
		if m.storm == nil {
			w.single.heard = now
			w.single.cut = w.single.cut || m.cut
		}
	case a.Status == Firing:
		m.fires(a, w, now, untracked)
	case w.live():
		w.status, w.at, w.ends = Resolved, a.NotifiedAt, a.EndsAt
		if m.storm == nil {
			m.endSingle(w.single, "AllResolved", now)
		}
	case w == nil && fresh:
		m.show(a, nil, a.NotifiedAt, a.EndsAt, now, untracked)
	case w == nil:
		m.alerts[a.Fingerprint] = &word{status: Resolved, at: a.NotifiedAt, ends: a.EndsAt, hidden: true}
	default:
		if !w.hidden && !(w.member && !w.past && m.storm != nil) && !m.endedLately(w, now) {
			w.hidden, w.since, w.single = true, w.at, nil
		}
		w.status, w.at, w.ends, w.closed, w.past = Resolved, a.NotifiedAt, a.EndsAt, false, false
		if tells {
			m.show(a, w, w.at, w.ends, now, untracked)
		}
	}
}

// endedLately tells whether a lone alert's incident is over and may still be reopened.
func (m *oracle) endedLately(w *word, now time.Time) bool {
	return w != nil && m.storm == nil && !w.past && !w.hidden && !w.member && w.single != nil && w.single.state == Ended &&
		w.single.reason == "AllResolved" && now.Sub(w.single.ended) < m.policy.Cooldown && slices.Contains(m.incidents, w.single)
}

// enter adds an alert to the storm, or counts it when the storm tracks as many as it may.
func (m *oracle) enter(a Alert, w *word, status Status, at, ends time.Time, untracked *int) {
	if w == nil || w.past || !w.member {
		if total, _ := m.counts(); total >= m.policy.MaxAlerts {
			*untracked++
			m.truncated = true
			m.beyond = max(m.beyond, *untracked)
			return
		}
	}
	m.alerts[a.Fingerprint] = &word{status: status, at: at, ends: ends, member: true}
}

// show puts an alert that is over into an incident.
func (m *oracle) show(a Alert, w *word, at, ends time.Time, now time.Time, untracked *int) {
	if m.storm != nil {
		m.enter(a, w, Resolved, at, ends, untracked)
		return
	}
	i := m.open(a, now)
	m.endSingle(i, "AllResolved", now)
	m.alerts[a.Fingerprint] = &word{status: Resolved, at: at, ends: ends, single: i}
}

func (m *oracle) open(a Alert, now time.Time) *incident {
	i := &incident{fingerprint: a.Fingerprint, state: Open, opened: now, heard: now, cut: m.cut}
	m.incidents = append(m.incidents, i)
	m.number(i)
	return i
}

// number makes an incident the youngest.
func (m *oracle) number(i *incident) {
	for _, other := range m.incidents {
		i.order = max(i.order, other.order+1)
	}
}

func (m *oracle) fires(a Alert, w *word, now time.Time, untracked *int) {
	if m.cool {
		m.cool = false
		m.storm.state, m.storm.reason = Open, ""
		m.storm.reopened++
	}
	if m.storm != nil {
		m.enter(a, w, Firing, a.NotifiedAt, time.Time{}, untracked)
		return
	}
	var i *incident
	if m.endedLately(w, now) {
		i = w.single
		i.state, i.reason, i.heard = Open, "", now
		i.reopened++
		m.number(i)
	} else {
		i = m.open(a, now)
	}
	m.alerts[a.Fingerprint] = &word{status: Firing, at: a.NotifiedAt, single: i}
	m.recent[a.Fingerprint] = now
	for fp, at := range m.recent {
		if now.Sub(at) >= m.policy.Window {
			delete(m.recent, fp)
		}
	}
	if len(m.recent) >= m.policy.Threshold {
		m.promote(now)
	}
}

// promote makes the oldest open incident the storm; the others are to be absorbed.
// Those whose time is up end before.
func (m *oracle) promote(now time.Time) {
	m.absorb(now)
	m.recent = map[string]time.Time{}
	open := m.openSingles()
	for why := m.overdue(open[0], now); why != ""; why = m.overdue(open[0], now) {
		m.endSingle(open[0], why, now)
		if w := m.alerts[open[0].fingerprint]; w.live() && w.single == open[0] {
			w.closed = true
		}
		open = open[1:]
	}
	m.storm = open[0]
	m.storm.storm = true
	m.truncated = m.storm.cut
	for _, i := range open[1:] {
		i.pending = true
		i.absorbedBy = m.storm
	}
	for _, w := range m.alerts {
		w.member = w.live()
	}
}

// openSingles are the open incidents of lone alerts, the oldest first, without those that wait for their absorption.
func (m *oracle) openSingles() []*incident {
	var out []*incident
	for _, i := range m.incidents {
		if i.state == Open && !i.storm && !i.pending {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *incident) int { return cmp.Compare(a.order, b.order) })
	return out
}

// snapshot is what a pod does before it writes: time is applied, and what waits for its absorption is absorbed, or never
// comes to be when no pod was told to write it.
func (m *oracle) snapshot(now time.Time) {
	m.age(now)
	m.absorb(now)
	for _, i := range m.incidents {
		if i.state == Open && !i.storm {
			if why := m.overdue(i, now); why != "" {
				m.endSingle(i, why, now)
				if w := m.alerts[i.fingerprint]; w.live() && w.single == i {
					w.closed = true
				}
			}
		}
	}
}

// absorb is what becomes of the incidents that were open when a storm began.
func (m *oracle) absorb(now time.Time) {
	m.incidents = slices.DeleteFunc(m.incidents, func(i *incident) bool { return i.pending && !i.told })
	for _, i := range m.incidents {
		if i.pending {
			i.pending, i.state, i.ended = false, TakenOver, now
		}
	}
}

// flushed is what is gone once everything has been written: what has been over for the retention.
func (m *oracle) flushed(now time.Time) {
	m.incidents = slices.DeleteFunc(m.incidents, func(i *incident) bool {
		return i.state != Open && now.Sub(i.ended) >= m.policy.Retention
	})
}
