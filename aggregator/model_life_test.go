package aggregator

import (
	"slices"
	"strconv"
	"time"
)

// The model, continued: the life of incidents, and what pods do about it.

func modelKey(alert string, opened time.Time) string {
	return alert + "@" + strconv.FormatInt(opened.UnixMilli(), 10)
}

func (g *modelGroup) newIncident(ev *modelEvent, alert string, state State) *modelIncident {
	i := &modelIncident{
		key: modelKey(alert, ev.now), alert: alert, opened: ev.now, heard: ev.now, state: state, truncated: ev.truncated,
	}
	if state == Ended {
		i.reason, i.ended = "AllResolved", ev.now
	} else if g.singles() == 0 {
		g.common = nil
	}
	g.changed(i)
	i.order = g.changes
	g.incidents[i.key] = i
	return i
}

func (g *modelGroup) reopen(i *modelIncident, now time.Time) {
	i.state, i.reason, i.heard = Open, "", now
	i.reopened++
	g.changed(i)
	i.order = g.changes
	g.say(Reopened)
}

// absorb works on what was open when the last storm began. What no pod was told to write never comes to be.
func (g *modelGroup) absorb(now time.Time) {
	for key, i := range g.incidents {
		switch {
		case i.storm || i.state != Open || i.absorbing == nil:
		case !i.told:
			delete(g.incidents, key)
		default:
			i.state, i.ended = TakenOver, now
			g.changed(i)
			g.say(Absorbed)
		}
	}
}

// takeOver makes an incident that ended lately, whose alert joins the storm, a part of it.
func (g *modelGroup) takeOver(i *modelIncident) {
	if !i.told {
		delete(g.incidents, i.key)
		return
	}
	i.state, i.reason, i.absorbing, i.over = TakenOver, "", g.storm, true
	g.changed(i)
	g.say(Absorbed)
}

// promote makes the oldest open incident the storm. The others are to be absorbed; those that this very event opened never
// come to be.
func (g *modelGroup) promote(ev *modelEvent) {
	now := ev.now
	g.absorb(now)
	open := g.open()
	for g.overdue(open[0], now) != "" {
		g.endSingle(open[0], g.overdue(open[0], now), now)
		open = open[1:]
	}
	storm := open[0]
	storm.storm = true
	g.storm = storm
	g.changed(storm)
	g.recent = map[string]time.Time{}
	for _, i := range open {
		g.alerts[i.alert].in = storm
		if i == storm {
			continue
		}
		i.absorbing = storm
		if !slices.Contains(ev.before, i.key) {
			delete(g.incidents, i.key)
		}
	}
	g.said = slices.DeleteFunc(g.said, func(kind string) bool { return kind == string(Opened) })
	g.say(Stormed)
}

// overdue is the reason for which an open incident ends by time.
func (g *modelGroup) overdue(i *modelIncident, now time.Time) string {
	heard := i.heard
	if i.storm {
		heard = g.heard
	}
	switch {
	case i.state != Open:
		return ""
	case now.Sub(i.opened) >= g.p.MaxDuration:
		return "MaxDuration"
	case now.Sub(heard) >= g.p.Quiet:
		return "Quiet"
	}
	return ""
}

func (g *modelGroup) endSingle(i *modelIncident, why string, now time.Time) {
	i.state, i.reason, i.ended = Ended, why, now
	g.changed(i)
	g.say(Closed)
	if x := g.alerts[i.alert]; why != "AllResolved" && x != nil && x.in == i && x.firing() {
		x.closed = true
	}
}

func (g *modelGroup) endStorm(why string, now time.Time) {
	g.storm.state, g.storm.reason, g.storm.ended = Ended, why, now
	g.changed(g.storm)
	g.say(Closed)
	if why != "AllResolved" {
		g.calm()
	}
}

// calm makes all that was a thing of the past.
func (g *modelGroup) calm() {
	g.storm.total, g.storm.firing = g.counts(g.storm)
	for _, x := range g.alerts {
		x.closed = x.closed || x.firing()
		x.in = nil
	}
	g.storm, g.common = nil, nil
}

// age is what time alone does to a storm.
func (g *modelGroup) age(now time.Time) {
	if g.state() == "storm" {
		if why := g.overdue(g.storm, now); why != "" {
			g.endStorm(why, now)
		}
	}
	// The cooldown may have become another since.
	if g.state() == "cool" && !now.Before(g.storm.ended.Add(g.p.Cooldown)) {
		g.calm()
	}
}

// modelWrite is one object of a snapshot.
type modelWrite struct {
	incident *modelIncident
	version  int
	remove   bool
}

// snapshot is what a pod is told to write; of what is looked at only, when it is too much for one. The group is gone when
// it returns true.
func (g *modelGroup) snapshot(now time.Time, token string, force, leased bool, lease time.Duration,
	looked func(*modelIncident) bool,
) (writes []modelWrite, gone bool) {
	g.said = nil
	g.age(now)
	upto := g.granted
	if force || !leased {
		upto = 0
	}
	g.granted = 0
	g.absorb(now)
	storm := false
	for _, i := range g.incidents {
		if why := g.overdue(i, now); why != "" && looked(i) && !i.storm {
			g.endSingle(i, why, now)
		}
		switch {
		case !looked(i):
			continue
		case i.want > i.done:
			// Of a burst the first incident only: what came after the lease may be a storm in a moment.
			if upto > 0 && !i.told && !i.storm && i.state == Open && i.want > upto {
				continue
			}
			writes = append(writes, modelWrite{i, i.want, false})
		case i.state != Open && !now.Before(i.ended.Add(g.p.Retention)):
			writes = append(writes, modelWrite{i, i.want, true})
		default:
			continue
		}
		i.told = true
		storm = storm || i.storm
	}
	if g.storm == nil && len(g.open()) == 0 && !storm && now.Sub(g.heard) >= g.p.Quiet {
		g.alerts, g.recent = map[string]*modelAlert{}, map[string]time.Time{}
		if len(g.incidents) == 0 {
			return nil, true
		}
	}
	g.until = time.Time{}
	if len(writes) > 0 {
		g.token, g.until = token, now.Add(lease)
	}
	return writes, false
}

// settle takes note of what stands in Kubernetes.
func (g *modelGroup) settle(token string, written []modelWrite) {
	for _, w := range written {
		if w.remove && w.incident.state != Open {
			delete(g.incidents, w.incident.key)
		}
		w.incident.done = max(w.incident.done, w.version)
	}
	if g.token == token {
		g.until = time.Time{}
	}
}

// counts of an incident, as they have to stand in it.
func (g *modelGroup) counts(i *modelIncident) (total, firing int) {
	switch {
	case i == g.storm:
		all, n := g.members()
		return len(all), n
	case i.storm:
		return i.total, i.firing
	case i.reason == "AllResolved", i.over:
		return 1, 0
	}
	return 1, 1
}

// deadline is when the group wants attention at the latest if nothing is to be written; zero for never.
func (g *modelGroup) deadline(quiet, maxDuration time.Duration) time.Time {
	var first time.Time
	at := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	for _, i := range g.incidents {
		if i.state != Open {
			at(i.ended.Add(g.p.Retention))
			continue
		}
		heard := i.heard
		if i.storm {
			heard = g.heard
		}
		at(heard.Add(quiet))
		at(i.opened.Add(maxDuration))
	}
	if len(g.alerts) > 0 && g.storm == nil && len(g.open()) == 0 {
		at(g.heard.Add(quiet))
	}
	return first
}

// narrow finds what the alerts of all events have in common: for the alerts of the tests, that is all or not the pod.
func (g *modelGroup) narrow(words []modelWord) {
	if g.storm == nil && g.singles() == 0 {
		return
	}
	all := words[0].alert
	for _, w := range words {
		if w.alert != all {
			all = ""
		}
	}
	switch {
	case g.common == nil:
		g.common = &all
	case *g.common != "" && *g.common != all:
		*g.common = ""
		if g.state() == "storm" {
			g.changed(g.storm)
		}
	}
}

// singles counts the open incidents of single alerts, those included that a storm is about to absorb.
func (g *modelGroup) singles() int {
	n := 0
	for _, i := range g.incidents {
		if !i.storm && i.state == Open {
			n++
		}
	}
	return n
}
