package aggregator

import (
	"maps"
	"slices"
	"time"

	"github.com/stormfold/stormfold/config"
)

// The model: what the design says of one group, with maps and structs instead of Redis. It knows no names, no
// revisions and no flush interval; those are checked where it is compared with the scripts.

// modelAlert is the last report about an alert, and where it shows.
type modelAlert struct {
	at   int64 // notifiedAt, ms
	over bool
	// closed: it was firing when its incident ended by time.
	closed bool
	// in is its incident; nil when that is a thing of the past, or never was.
	in *modelIncident
	// hidden is a tombstone: over, and shown nowhere. A firing report later than since shows it.
	hidden bool
	since  int64
	// sources are what each of its senders reported, by the id of the sender.
	sources map[string]modelSource
}

// modelSource is the latest firing report and the latest resolution of one sender; 0: there was none.
type modelSource struct{ firing, starts, resolved, ends int64 }

// fires says whether an alert fires by this sender: by its later report, but for what pairs of Alertmanagers say late.
func (s modelSource) fires() bool {
	const peers = 3 * 60 * 1000
	switch {
	case s.firing == 0 || s.resolved == 0:
		return s.firing > 0
	case s.firing > s.resolved:
		return s.starts > s.ends || s.firing-s.resolved > peers
	}
	return s.starts > s.ends && s.resolved-s.firing <= peers
}

// hear is what is known of the senders after a word, and whether it was news. Of more than six senders one is
// forgotten.
func (x *modelAlert) hear(w modelWord) (map[string]modelSource, bool) {
	sources := map[string]modelSource{}
	if x != nil {
		sources = maps.Clone(x.sources)
	}
	s, at := sources[w.source], w.at.UnixMilli()
	before := s
	if w.over {
		ends := w.at.UnixMilli()
		if !w.ends.IsZero() && w.ends.UnixMilli() >= w.starts.UnixMilli() {
			ends = min(ends, w.ends.UnixMilli())
		}
		s.resolved, s.ends = max(s.resolved, at), max(s.ends, ends)
	} else {
		s.firing, s.starts = max(s.firing, at), max(s.starts, w.starts.UnixMilli())
	}
	sources[w.source] = s
	return sources, s != before
}

func (x *modelAlert) firing() bool { return !x.over && !x.closed }

// modelIncident is one object.
type modelIncident struct {
	key       string // Its first alert and the time: no two have both in common.
	alert     string
	opened    time.Time
	order     int // Of its last opening.
	storm     bool
	second    bool // It had a second alert.
	state     State
	reason    string
	ended     time.Time
	heard     time.Time
	reopened  int
	fired     time.Time      // When its alert last began to fire.
	absorbing *modelIncident // The storm that it is to be absorbed by, or was.
	total     int            // Of a storm that is a thing of the past; before, its alerts tell.
	firing    int
	beyond    int
	truncated bool
	over      bool // Its alert was over when it was absorbed.
	told      bool // A pod was told to write it.
	want      int  // The change to be written, and the one that is.
	done      int
}

type modelGroup struct {
	p      config.Policy
	there  bool
	alerts map[string]*modelAlert
	// incidents are those that are or have to be in Kubernetes.
	incidents map[string]*modelIncident
	storm     *modelIncident // Open, or cooling; nil in a calm group.
	recent    map[string]time.Time
	heard     time.Time
	common    *string // The alert that all events are about, since the group was last idle; empty when there are several.
	changes   int
	cut       map[string]int64 // When the sender last left alerts out, by its group key; * for one that is not known.
	quiet     time.Time        // When the storm's alerts are next looked through for quiet ones.
	said      []string         // Transitions of the last call.

	token   string // Of the lease.
	until   time.Time
	granted int // The change for which a fold granted the lease; 0 once it was used.
}

// modelWord is what an event says of one alert.
type modelWord struct {
	alert, source    string
	over             bool
	at, starts, ends time.Time
}

// modelEvent is one event on its way into the model.
type modelEvent struct {
	now       time.Time
	truncated bool
	complete  bool
	before    []string               // Incidents that were there before it.
	beyond    map[string]bool        // Its alerts beyond maxAlerts.
	newly     int                    // Its alerts that begin to fire by it.
	sources   map[string]modelSource // What is known of the senders of the alert at hand.
	word      modelWord              // What is reported about it.
}

func newGroupModel(p config.Policy) *modelGroup {
	return &modelGroup{
		p: p, alerts: map[string]*modelAlert{}, incidents: map[string]*modelIncident{}, recent: map[string]time.Time{},
	}
}

func (g *modelGroup) state() string {
	switch {
	case g.storm == nil:
		return "calm"
	case g.storm.state == StateFiring:
		return "storm"
	}
	return "cool"
}

// changed takes note of something that has to be written.
func (g *modelGroup) changed(i *modelIncident) {
	g.changes++
	i.want = g.changes
}

func (g *modelGroup) say(kind TransitionType) { g.said = append(g.said, string(kind)) }

// members of the storm, and how many of them fire.
func (g *modelGroup) members() (all []string, firing int) {
	for fp, x := range g.alerts {
		if g.storm != nil && x.in == g.storm {
			all = append(all, fp)
			if x.firing() {
				firing++
			}
		}
	}
	return all, firing
}

// open are the incidents of single alerts that no storm has taken, the oldest first.
func (g *modelGroup) open() []*modelIncident {
	var out []*modelIncident
	for _, i := range g.incidents {
		if !i.storm && i.state == StateFiring && i.absorbing == nil {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *modelIncident) int { return a.order - b.order })
	return out
}

// fold joins the words of one event, the firing ones first. It returns how many alerts begin to fire by it.
func (g *modelGroup) fold(now time.Time, p config.Policy, words []modelWord, truncated bool, key string) int {
	g.said = nil
	g.p, g.there = p, true
	g.age(now)
	ev := &modelEvent{
		now:       now,
		truncated: truncated,
		complete:  !truncated && key != "",
		before:    slices.Collect(maps.Keys(g.incidents)),
		beyond:    map[string]bool{},
	}
	if g.storm == nil && g.crowd(now) >= p.Threshold {
		g.promote(ev)
	}
	for _, over := range []bool{false, true} {
		for _, w := range words {
			if w.over == over {
				g.word(ev, w)
			}
		}
	}
	g.heard = now
	if g.state() == "storm" && (truncated || key != "" && g.storm.truncated) {
		g.cuts(words, truncated, key)
	}
	g.narrow(words)
	if _, firing := g.members(); g.state() == "storm" && firing == 0 && !g.storm.truncated {
		g.endStorm("AllResolved", now)
	}
	return ev.newly
}

// cuts takes in that a notification was complete or not.
func (g *modelGroup) cuts(words []modelWord, truncated bool, key string) {
	said := int64(0)
	for _, w := range words {
		said = max(said, w.at.UnixMilli())
	}
	if truncated {
		g.cut[key] = max(g.cut[key], said)
	} else {
		maps.DeleteFunc(g.cut, func(k string, at int64) bool { return (k == key || k == "*") && said > at })
	}
	if now := len(g.cut) > 0 || g.storm.beyond > 0; now != g.storm.truncated {
		g.storm.truncated = now
		g.changed(g.storm)
	}
}

// crowd counts the alerts that count towards a storm.
func (g *modelGroup) crowd(now time.Time) int {
	maps.DeleteFunc(g.recent, func(_ string, t time.Time) bool { return !t.After(now.Add(-g.p.Window)) })
	return len(g.open()) + len(g.recent)
}

// word takes in what an event says about one alert.
func (g *modelGroup) word(ev *modelEvent, w modelWord) {
	x := g.alerts[w.alert]
	fresh := g.storm != nil && w.over && (w.ends.IsZero() || ev.now.Sub(w.ends) <= g.p.Cooldown)
	if x != nil && x.firing() && g.storm == nil {
		g.expire(x.in, ev.now)
	}
	said := w.at.UnixMilli()
	var news bool
	ev.sources, news = x.hear(w)
	ev.word = w
	if x == nil {
		switch {
		case !w.over && ev.now.UnixMilli()-said >= g.p.Quiet.Milliseconds():
		case !w.over:
			g.fires(ev, w, said)
		case fresh:
			g.show(ev, w.alert, said)
		case len(g.alerts) < 2*g.p.MaxAlerts:
			g.alerts[w.alert] = &modelAlert{at: said, over: true, hidden: true, sources: ev.sources}
		}
		return
	}
	firing := false
	for _, s := range ev.sources {
		firing = firing || s.fires() && ev.now.UnixMilli()-s.firing < g.p.Quiet.Milliseconds()
	}
	at := max(said, x.at)
	switch {
	case x.firing() && !firing && w.over:
		x.at, x.over, x.sources = at, true, ev.sources
		if g.storm != nil {
			g.changed(g.storm)
			return
		}
		if x.in.fired.After(ev.now.Add(-g.p.Window)) {
			g.recent[w.alert] = x.in.fired
		}
		g.endSingle(x.in, "AllResolved", ev.now)
		return
	case x.firing() && news:
		x.at, x.sources = at, ev.sources
		if g.storm == nil {
			x.in.heard = ev.now
			if ev.truncated != x.in.truncated && (ev.truncated || ev.complete) {
				x.in.truncated = ev.truncated
				g.changed(x.in)
			}
		}
		return
	case x.firing():
		return
	case news && !w.over && firing:
		g.fires(ev, w, at)
		return
	}
	// A tombstone may learn from a word that there was something to show.
	late := !w.over && said > x.since && (x.since == 0 || said <= ev.sources[w.source].resolved)
	switch {
	case x.hidden && (late || fresh && x.since == 0):
		g.show(ev, w.alert, at)
	case news:
		if w.over {
			if !x.hidden && !g.current(x, w, ev.now) {
				// Its incident is a thing of the past: of a firing since, only a late word can tell.
				x.since, x.hidden, x.in = x.at, true, nil
			}
			x.closed, x.over = false, true
		}
		x.at, x.sources = at, ev.sources
	}
}

// current says whether an alert that is over is still part of an incident that goes on or may be reopened.
func (g *modelGroup) current(x *modelAlert, w modelWord, now time.Time) bool {
	if x.in == nil || g.storm != nil {
		return x.in != nil && x.in == g.storm
	}
	return g.lately(x.in, w, now)
}

// reopens says whether an alert that fires reopens what ended at that time: it began, or is reported, within the
// cooldown.
func (g *modelGroup) reopens(w modelWord, ended, now time.Time) bool {
	last := ended.Add(g.p.Cooldown)
	return now.Before(last) || w.starts.Before(last) && now.Before(last.Add(told))
}

// told is how much later a sender may report a firing.
const told = 5 * time.Minute

// lately says whether an incident is over and would be reopened by a word.
func (g *modelGroup) lately(i *modelIncident, w modelWord, now time.Time) bool {
	return i.state == StateResolved && i.reason == "AllResolved" && g.reopens(w, i.ended, now)
}

// fires takes in an alert that begins to fire.
func (g *modelGroup) fires(ev *modelEvent, w modelWord, at int64) {
	alert := w.alert
	ev.newly++
	if g.state() == "cool" && !g.reopens(w, g.storm.ended, ev.now) {
		g.calm()
	}
	if g.state() == "cool" {
		g.reopen(g.storm, ev.now)
	}
	if g.storm != nil {
		g.join(ev, alert, at, false)
		return
	}
	x := g.alerts[alert]
	var i *modelIncident
	if x != nil && g.current(x, w, ev.now) {
		i = x.in
		g.reopen(i, ev.now)
	} else {
		i = g.newIncident(ev, alert, StateFiring)
		g.say(Opened)
	}
	g.alerts[alert] = &modelAlert{at: at, in: i, sources: ev.sources}
	delete(g.recent, alert)
	if g.crowd(ev.now) >= g.p.Threshold {
		g.promote(ev)
	}
}

// join makes an alert a member of the storm, or counts it as one too many.
func (g *modelGroup) join(ev *modelEvent, alert string, at int64, over bool) {
	x := g.alerts[alert]
	all, _ := g.members()
	full := len(all) >= g.p.MaxAlerts || x == nil && len(g.alerts) >= 3*g.p.MaxAlerts
	if full && (x == nil || x.in != g.storm) {
		ev.beyond[alert] = true
		if !g.storm.truncated || len(ev.beyond) > g.storm.beyond {
			g.storm.truncated = true
			g.storm.beyond = max(g.storm.beyond, len(ev.beyond))
			g.changed(g.storm)
		}
		return
	}
	if x != nil && x.in != nil && !x.in.storm && g.lately(x.in, ev.word, ev.now) {
		g.takeOver(x.in)
	}
	g.alerts[alert] = &modelAlert{at: at, over: over, in: g.storm, sources: ev.sources}
	g.changed(g.storm)
	if all, _ := g.members(); len(all) == 2 && !g.storm.second {
		g.storm.second = true
		if g.state() == "storm" {
			g.say(Stormed)
		}
	}
}

// show makes an alert that is over part of the storm, or gives it an incident that is over too.
func (g *modelGroup) show(ev *modelEvent, alert string, at int64) {
	if g.storm != nil {
		g.join(ev, alert, at, true)
		return
	}
	g.alerts[alert] = &modelAlert{at: at, over: true, in: g.newIncident(ev, alert, StateResolved), sources: ev.sources}
}
