package aggregator

// members merges alerts of an incident that has been merged itself.
func (m *merging) members(f found, page []Member, last bool) {
	name := f.name
	e := m.entries[name]
	if e == nil {
		return
	}
	storm := m.current()
	ours := storm != nil &&
		(m.group.object == name || e.storm() && e.State == StateAbsorbed && e.AbsorbedBy == m.group.object)
	switch {
	case ours:
		before := storm.Total
		for _, member := range page {
			m.joins(name, storm, member)
		}
		// With a threshold of 1, two incidents of one alert each make a storm.
		second := storm.Total > 1 && storm.StormAt == 0
		if second {
			storm.StormAt = m.now
		}
		changed := storm.Total != before
		if m.group.object == name && !storm.open() { // It is only put together again, from its object.
			changed = last && storm.Total != f.entry.Total
		}
		if changed || second {
			m.touch(storm)
		}
	case e.State == StateResolved && m.now < e.EndedAt+max(m.limits.Quiet, m.limits.Cooldown):
		for _, member := range page {
			m.past(name, e, member.Fingerprint)
		}
	}
}

// joins makes an alert a member of the storm, as an incident in Kubernetes lists it.
func (m *merging) joins(name string, storm *entry, member Member) {
	r := m.records[member.Fingerprint]
	if r != nil && r.mark == 't' && r.object != "" {
		return // It is over, in an incident of its own that its record does not name any more.
	}
	isMember := r != nil && r.member(m.group.since, m.group.generation)
	if r != nil && !isMember {
		if home, _ := m.home(r); home != name {
			m.part(home, storm.StormAt, m.group.object)
		}
	}
	firing := member.Firing && storm.open()
	switch {
	case r == nil || r.importedOnly() && !isMember:
		r = &record{status: 'r', mark: 'm', generation: m.group.generation}
		if firing {
			r.status = 'f'
			storm.Firing++
		}
		m.records[member.Fingerprint] = r
		storm.Total++
	case !isMember: // It ended since: a resolved member, and not an incident of its own.
		r.become('r', 'm', m.group.generation, "")
		storm.Total++
	}
}

// past notes an alert of an incident that is over, unless Redis knows more of it, so that reporting its end again is no
// news. The incident of a single alert may be reopened.
func (m *merging) past(name string, e *entry, fingerprint string) {
	r := m.records[fingerprint]
	single := !e.storm() && e.Reason == "AllResolved"
	mark, object := byte('t'), "1"
	switch {
	case single:
		mark, object = '-', name
	case e.Reason == "AllResolved": // What was reported firing before that is over.
		object = formatMS(e.EndedAt)
	}
	home, other := m.home(r)
	switch {
	case single && other != nil && (other.storm() || other.open() && other.Revision >= e.Revision && home != name):
		began := other.StormAt
		if began == 0 {
			began = other.OpenedAt
		}
		m.part(name, began, home)
	case other != nil && !other.storm() && other.open() && r.at == 0 && (other.Incomplete || other.Revision < e.Revision):
		// An earlier incident of the alert: this one ended before all was written.
		m.absorbed(other, name)
		m.singles--
		m.counting--
		m.settled = append(m.settled, fingerprint)
		r.status, r.mark, r.object = 'r', mark, object
	case r == nil:
		m.records[fingerprint] = &record{status: 'r', mark: mark, generation: m.group.generation, object: object}
	case r.mark == 't' && r.object == "": // Its end was reported again before it was known of what.
		if !single {
			object = formatMS(r.at)
		}
		r.mark, r.object, r.generation = mark, object, m.group.generation
	case single && r.mark == '-' && r.status != 'f' && home != name:
		// Two of one alert. The second would have been the first, reopened, had it been known, unless that was long
		// ago.
		if other != nil && other.Revision >= e.Revision {
			m.part(name, other.OpenedAt, home)
			return
		}
		m.part(home, e.OpenedAt, name)
		r.generation, r.object = m.group.generation, name
	}
}
