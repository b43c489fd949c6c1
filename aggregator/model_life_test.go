package aggregator

import (
	"maps"
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
		key: modelKey(
			alert,
			ev.now,
		), alert: alert, opened: ev.now, heard: ev.now, fired: ev.now, state: state, truncated: ev.truncated,
	}
	if state == StateResolved {
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
	i.state, i.reason, i.heard, i.fired = StateFiring, "", now, now
	i.reopened++
	g.changed(i)
	i.order = g.changes
	g.say(Reopened)
}

// absorb works on what was open when the last storm began. What no pod was told to write is never created.
func (g *modelGroup) absorb(now time.Time) {
	for key, i := range g.incidents {
		switch {
		case i.storm || i.state != StateFiring || i.absorbing == nil:
		case !i.told:
			delete(g.incidents, key)
		default:
			i.state, i.ended = StateAbsorbed, now
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
	i.state, i.reason, i.absorbing, i.over = StateAbsorbed, "", g.storm, true
	g.changed(i)
	g.say(Absorbed)
}

// promote makes the oldest open incident the storm. The others are to be absorbed; those that this very event opened
// are never created.
func (g *modelGroup) promote(ev *modelEvent) {
	now := ev.now
	g.absorb(now)
	for len(g.open()) > 0 && g.expire(g.open()[0], now) {
	}
	open := g.open()
	if len(open) == 0 {
		return
	}
	storm := open[0]
	storm.storm, storm.second = true, len(open) > 1
	g.storm, g.quiet, g.cut = storm, now.Add(g.p.Quiet), map[string]int64{}
	if storm.truncated {
		g.cut["*"] = 0
	}
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
	if storm.second {
		g.said = slices.DeleteFunc(g.said, func(kind string) bool { return kind == string(Opened) })
		g.say(Stormed)
	}
}

// overdue is the reason for which an open incident ends by time.
func (g *modelGroup) overdue(i *modelIncident, now time.Time) string {
	quiet := now.Sub(i.heard) >= g.p.Quiet
	if i.storm {
		_, firing := g.members()
		quiet = firing == 0 && now.Sub(g.heard) >= g.p.Quiet
	}
	switch {
	case i.state != StateFiring:
		return ""
	case quiet:
		return "Quiet"
	case now.Sub(i.opened) >= g.p.MaxDuration:
		return "MaxDuration"
	}
	return ""
}

// expire ends an incident of a single alert whose time is up. What fires on after the maximum duration has another at
// once.
func (g *modelGroup) expire(i *modelIncident, now time.Time) bool {
	why := g.overdue(i, now)
	if why == "" {
		return false
	}
	x := g.alerts[i.alert]
	on := why == "MaxDuration" && x != nil && x.in == i && x.firing()
	g.endSingle(i, why, now)
	if on {
		x.in, x.closed = g.follower(i, i.alert, now), false
		g.say(Opened)
	}
	return true
}

// follower is the incident that goes on instead of one that has come to its maximum duration.
func (g *modelGroup) follower(of *modelIncident, alert string, now time.Time) *modelIncident {
	i := &modelIncident{
		key: modelKey(
			alert,
			now,
		), alert: alert, opened: now, heard: of.heard, fired: now, state: StateFiring, storm: of.storm,
	}
	g.changed(i)
	i.order = g.changes
	g.incidents[i.key] = i
	return i
}

func (g *modelGroup) endSingle(i *modelIncident, why string, now time.Time) {
	i.state, i.reason, i.ended = StateResolved, why, now
	g.changed(i)
	g.say(Closed)
	if x := g.alerts[i.alert]; why != "AllResolved" && x != nil && x.in == i && x.firing() {
		x.closed = true
	}
}

func (g *modelGroup) endStorm(why string, now time.Time) {
	g.storm.state, g.storm.reason, g.storm.ended = StateResolved, why, now
	g.changed(g.storm)
	g.say(Closed)
	members, firing := g.members()
	switch {
	case why == "MaxDuration" && firing > 0:
		g.absorb(now)
		old := g.storm
		old.total, old.firing = g.counts(old)
		g.storm = g.follower(old, "", now)
		g.storm.truncated, g.storm.second = old.truncated, firing > 1
		for _, fp := range members {
			if x := g.alerts[fp]; x.firing() {
				x.in = g.storm
			} else {
				x.in = nil
			}
		}
		if firing > 1 {
			g.say(Stormed)
		} else {
			g.say(Opened)
		}
	case why != "AllResolved":
		g.calm()
	}
}

// quieten ends the storm's alerts that were not reported for the quiet time, when it is time to look for them.
func (g *modelGroup) quieten(now time.Time) {
	members, firing := g.members()
	if g.state() != "storm" {
		return
	}
	over := 0
	if firing > 0 && !now.Before(g.quiet) {
		first := now
		for _, fp := range members {
			x := g.alerts[fp]
			last := time.UnixMilli(x.at)
			switch {
			case x.firing() && now.Sub(last) >= g.p.Quiet:
				x.closed = true
				over++
			case x.firing() && last.Before(first):
				first = last
			}
		}
		if over > 0 {
			g.changed(g.storm)
		}
		g.quiet = now.Add(g.p.Quiet / 16)
		if next := first.Add(g.p.Quiet); next.After(g.quiet) {
			g.quiet = next
		}
	}
	if over == firing && !g.storm.truncated {
		g.endStorm(map[bool]string{true: "Quiet", false: "AllResolved"}[over > 0], now)
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
	if g.state() == "cool" && !now.Before(g.storm.ended.Add(g.p.Cooldown+told)) {
		g.calm()
	}
}

// modelWrite is one object of a snapshot.
type modelWrite struct {
	incident *modelIncident
	version  int
	remove   bool
}

// snapshot is what a pod is told to write; of what is looked at only, when it is too much for one. The group is gone
// when it returns true.
func (g *modelGroup) snapshot(now time.Time, token string, force, leased bool, lease time.Duration,
	looked func(*modelIncident) bool,
) (writes []modelWrite, gone bool) {
	g.said = nil
	g.quieten(now)
	g.age(now)
	upto := g.granted
	if force || !leased {
		upto = 0
	}
	g.granted = 0
	g.absorb(now)
	storm := false
	for _, i := range slices.Collect(maps.Values(g.incidents)) {
		if looked(i) && !i.storm {
			g.expire(i, now)
		}
	}
	for _, i := range g.incidents {
		switch {
		case !looked(i):
			continue
		case i.want > i.done:
			// Of a burst the first incident only: what came after the lease may be a storm in a moment.
			if upto > 0 && !i.told && !i.storm && i.state == StateFiring && i.want > upto {
				continue
			}
			writes = append(writes, modelWrite{i, i.want, false})
		case i.state != StateFiring && !now.Before(i.ended.Add(g.p.Retention)):
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

// settle takes note of what is in Kubernetes.
func (g *modelGroup) settle(token string, written []modelWrite) {
	for _, w := range written {
		if w.remove && w.incident.state != StateFiring {
			delete(g.incidents, w.incident.key)
		}
		w.incident.done = max(w.incident.done, w.version)
	}
	if g.token == token {
		g.until = time.Time{}
	}
}

// counts of an incident, as it has to show them.
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
		if i.state != StateFiring {
			at(i.ended.Add(g.p.Retention))
			continue
		}
		heard := i.heard.Add(quiet)
		if i.storm {
			heard = g.heard.Add(quiet)
			if _, firing := g.members(); firing > 0 {
				heard = g.quiet
			}
		}
		at(heard)
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
		if !i.storm && i.state == StateFiring {
			n++
		}
	}
	return n
}
