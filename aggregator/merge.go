package aggregator

import (
	"encoding/json"
	"maps"
	"math"
)

// merging is what Redis knows of a group, while what Kubernetes shows of one incident is merged into it. It decides and
// does no I/O. Alerts of the group wait meanwhile, so that nothing else decides about them.
//
// The rules, where both know something:
//
//   - An alert is in one open incident, and a group has one storm at a time. A storm wins over the incident of a single
//     alert; the older of two open storms wins; and the later revision of two incidents of one alert, and of an open
//     storm and one that has ended within its cooldown. The other is absorbed.
//   - What Redis has decided stays: an alert that is over there is over.
//   - An incident that no pod was told to write is dropped in favour of one that exists.
//   - An incident without any alert resolves.
type merging struct {
	now     int64
	limits  limits
	group   fields
	entries map[string]*entry
	records map[string]*record
	// singles and counting are as in view.
	singles, counting int
	// drop are the incidents that never come to exist, and settled the alerts that no longer count for the threshold.
	drop    []string
	settled []string
}

// found is an incident as Kubernetes shows it.
type found struct {
	name  string
	entry entry
	// common are the labels that its alerts share.
	common map[string]string
	// alert is the record of the alert of a single incident, as far as Kubernetes knows it.
	alert record
}

// late is how long (ms) after its cooldown a storm may be reopened, LATE in incident.lua.
const late = 5 * 60 * 1000

// incident merges an incident that Redis does not know.
func (m *merging) incident(f found) {
	m.group.revision = max(m.group.revision, f.entry.Revision)
	e := f.entry
	e.Told, e.Imported = true, true
	m.entries[f.name] = &e
	switch {
	case !e.open():
		m.ended(f, &e)
	case e.storm():
		m.storm(f, &e)
	default:
		m.single(f, &e)
	}
}

// known compares an incident that both know, and has it written again when Kubernetes shows something else than was
// written.
func (m *merging) known(f found) {
	e := m.entries[f.name]
	switch revision := f.entry.Revision; {
	case revision > e.Revision: // A pod wrote it that did not know that Redis had been emptied.
		m.group.revision = max(m.group.revision, revision)
		e.Revision = m.bump()
	case e.open() && e.Confirmed > 0 && revision <= e.Confirmed && f.entry.ResourceVersion != e.ResourceVersion:
		e.again(f.entry.ResourceVersion)
	}
	if f.entry.Up != nil {
		e.Up = f.entry.Up
	}
}

// again makes an incident one that has not been written, over an object with that resource version.
func (e *entry) again(resourceVersion string) {
	e.Confirmed, e.ResourceVersion, e.Told = 0, resourceVersion, true
}

// single merges the open incident of a single alert.
func (m *merging) single(f found, e *entry) {
	if e.Fingerprint == "" {
		m.superfluous(e)
		return
	}
	r := m.records[e.Fingerprint]
	home, known := m.home(r)
	earlier := known != nil && r.importedOnly() && known.State == StateResolved &&
		(known.Revision < e.Revision || !m.overlap(known, e))
	if known != nil && !earlier {
		if !known.storm() && known.open() && !known.Told {
			m.dropped(home)
			m.adopt(f, e, r)
		} else {
			m.absorbed(e, home)
		}
		return
	}
	over := r != nil && r.status != 'f' && !r.importedOnly()
	if over && r.mark == 't' && r.object != "" {
		m.superfluous(e)
		return
	}
	if r == nil {
		r = new(f.alert)
		m.records[e.Fingerprint] = r
	}
	status := byte('f')
	if over {
		status = 'r'
	}
	switch {
	case m.group.state == groupStorm:
		storm := m.entries[m.group.object]
		r.become(status, 'm', m.group.generation, "")
		storm.Total++
		if !over {
			storm.Firing++
		}
		m.share(f)
		m.touch(storm)
		m.absorbed(e, m.group.object)
	case over:
		r.become('r', '-', m.group.generation, f.name)
		m.resolved(e)
	default:
		if earlier {
			m.part(home, e.OpenedAt, f.name)
		}
		if m.group.state == groupCool { // An incident beside it is open, so that storm will not be reopened.
			m.close()
		}
		m.adopt(f, e, r)
	}
}

// adopt makes an incident the open one of its alert.
func (m *merging) adopt(f found, e *entry, r *record) {
	if r == nil {
		r = new(f.alert)
		m.records[e.Fingerprint] = r
	}
	r.become('f', '-', m.group.generation, f.name)
	if m.singles == 0 {
		m.group.common = ""
	}
	m.singles++
	m.counting++
	if e.Revision > 0 {
		m.share(f)
		return
	}
	// Created, and its status was never written.
	e.Revision, e.Incomplete, e.ChangedAt = m.bump(), true, m.now
}

// storm merges an open storm.
func (m *merging) storm(f found, e *entry) {
	current := m.current()
	if current != nil && !current.open() && current.Imported &&
		!(m.overlap(current, e) && current.Confirmed > e.Confirmed) {
		if m.overlap(current, e) {
			m.absorbed(current, f.name)
		}
		m.close()
		current = nil
	}
	switch {
	case current != nil && current.Told && (current.OpenedAt <= e.OpenedAt || !current.open()):
		m.absorbed(e, m.group.object)
		return
	case current != nil:
		e.Total, e.Firing, e.Beyond = current.Total, current.Firing, max(current.Beyond, e.Beyond)
		e.Truncated = e.Truncated || current.Truncated
		if current.Told {
			m.absorbed(current, f.name)
		} else {
			m.dropped(m.group.object)
		}
	default: // What is open joins the storm.
		e.Total, e.Firing = m.counting, m.counting
	}
	if e.Truncated {
		e.Cut = map[string]int64{"*": 0}
	}
	m.group.state, m.group.object, m.group.absorbInto = groupStorm, f.name, f.name
	m.group.common = ""
	if e.Revision > 0 {
		m.share(f)
	}
	m.group.quietAt = m.now + m.limits.Quiet
	e.Generation, e.Since, e.EndedAt, e.Reason = m.group.generation, m.group.since, 0, ""
	m.touch(e)
	m.group.absorbRevision = m.group.revision
}

// ended merges an incident that is over, so that reporting its end again changes nothing, and an alert that fires
// within the cooldown reopens it.
func (m *merging) ended(f found, e *entry) {
	if e.State == StateResolved {
		current, r := m.current(), m.records[e.Fingerprint]
		home, known := m.home(r)
		switch {
		case e.storm() && current != nil && (!current.Imported || m.overlap(current, e)):
			if !current.Imported || current.Confirmed >= e.Confirmed {
				m.absorbed(e, m.group.object)
				return
			}
			m.absorbed(current, f.name)
			m.close()
		case e.storm():
		case known != nil && !known.storm() && known.State != StateAbsorbed && !known.Told:
			m.dropped(home)
			r.object, r.mark, r.generation = f.name, '-', m.group.generation
			if known.open() {
				e.State, e.Reason, e.EndedAt, e.Total, e.Firing = StateFiring, "", 0, 1, 1
				e.ChangedAt, e.LastSeen, e.Revision = m.now, m.now, m.bump()
				return
			}
		case known != nil && !known.Imported:
			m.absorbed(e, home)
			return
		case known == nil && r != nil && !r.importedOnly() && r.mark == 't' && r.object != "":
			m.superfluous(e)
			return
		}
	}
	recent := m.now < e.EndedAt+m.limits.Cooldown+late
	if e.storm() && e.State == StateResolved && e.Reason == "AllResolved" && !e.Truncated && recent &&
		m.group.state == groupCalm && m.singles == 0 {
		m.group.state, m.group.object, m.group.absorbInto = groupCool, f.name, f.name
		m.group.common = e.Common
		e.Generation, e.Since = m.group.generation, m.group.since
		e.Total, e.Firing = 0, 0 // Its members come next.
	}
}

// overlap tells whether two storms were there at one time, the cooldown included: had all been known, they would be
// one.
func (m *merging) overlap(a, b *entry) bool {
	ends := func(e *entry) int64 {
		if e.open() {
			return math.MaxInt64
		}
		return e.EndedAt + m.limits.Cooldown
	}
	return a.OpenedAt < ends(b) && b.OpenedAt < ends(a)
}

// current is the group's storm, open or within its cooldown, and nil in a calm group.
func (m *merging) current() *entry {
	if m.group.state == groupCalm {
		return nil
	}
	return m.entries[m.group.object]
}

// home is the incident that an alert is in, if Redis knows of one.
func (m *merging) home(r *record) (string, *entry) {
	if r == nil || r.mark == 't' {
		return "", nil
	}
	if m.group.state != groupCalm && r.member(m.group.since, m.group.generation) {
		return m.group.object, m.entries[m.group.object]
	}
	name := r.object
	if r.mark == 'm' {
		name = m.group.absorbInto
	}
	e := m.entries[name]
	if e != nil && e.State == StateAbsorbed {
		name = e.AbsorbedBy
		e = m.entries[name]
	}
	return name, e
}

func (r *record) become(status, mark byte, generation int64, object string) {
	r.status, r.mark, r.generation, r.object = status, mark, generation, object
}

func (m *merging) bump() int64 {
	m.group.revision = max(m.group.revision+1, m.now)
	return m.group.revision
}

func (m *merging) touch(e *entry) { e.Revision, e.ChangedAt = m.bump(), m.now }

// absorbed makes an incident a part of another, which then has to exist.
func (m *merging) absorbed(e *entry, by string) {
	if other := m.entries[by]; other != nil {
		other.Told = true
	}
	e.State, e.Reason, e.AbsorbedBy, e.EndedAt, e.Imported = StateAbsorbed, "", by, m.now, false
	m.touch(e)
}

// resolved ends an incident whose alert is over.
func (m *merging) resolved(e *entry) {
	e.State, e.Reason, e.EndedAt, e.Firing, e.Imported = StateResolved, "AllResolved", m.now, 0, false
	m.touch(e)
}

// superfluous ends an incident without any alert: it was created too late, for an alert that is over and was in another
// one, or nobody knows for which.
func (m *merging) superfluous(e *entry) {
	m.resolved(e)
	e.Total = 0
}

// part makes the incident of a single alert a part of another that began within its cooldown: had all been known, it
// would have been reopened, or would have joined the storm.
func (m *merging) part(name string, began int64, by string) {
	e := m.entries[name]
	if e == nil || e.storm() || e.State != StateResolved || e.Reason != "AllResolved" ||
		began >= e.EndedAt+m.limits.Cooldown {
		return
	}
	if !e.Told {
		m.dropped(name)
		return
	}
	ended := e.EndedAt
	m.absorbed(e, by)
	e.EndedAt = ended
}

func (m *merging) dropped(name string) {
	if e := m.entries[name]; e != nil && !e.storm() && e.open() {
		m.singles--
		m.counting--
	}
	delete(m.entries, name)
	m.drop = append(m.drop, name)
}

// close forgets the storm: with a new generation its records are no longer members.
func (m *merging) close() {
	m.group.generation++
	m.group.state, m.group.since, m.group.object, m.group.common = groupCalm, m.group.generation, "", ""
}

// share narrows the group's common labels to those that the alerts of the incident have, too.
func (m *merging) share(f found) {
	both := f.common
	if m.group.common != "" {
		var have map[string]string
		if json.Unmarshal([]byte(m.group.common), &have) == nil {
			both = maps.Clone(f.common)
			maps.DeleteFunc(both, func(name, value string) bool { return have[name] != value })
		}
	}
	text, err := json.Marshal(both)
	if err != nil || both == nil {
		text = []byte("{}")
	}
	m.group.common = string(text)
}
