package aggregator

import (
	"context"
	"time"
)

// GroupState is what Redis holds of a group at one moment, for someone who looks.
type GroupState struct {
	// Now is Redis' clock.
	Now time.Time
	// Imported: the group's shard was imported from Kubernetes. Until then nothing is decided about its groups.
	Imported bool
	// Known: the group is there. Without it only Due and Waiting mean something.
	Known bool
	// Due is when the group wants attention next, zero for never.
	Due time.Time
	// Waiting is how many alerts wait for the import.
	Waiting int
	// State is calm, storm, cool, or waiting.
	State    string
	Revision int64
	Policy   string
	Labels   map[string]string
	Overflow bool
	// Threshold, Period and Cooldown are the policy's threshold, window and cooldown as of the last fold.
	Threshold        int
	Period, Cooldown time.Duration
	// Window counts the alerts that fire or newly fired within the policy's window, and WindowUntil is when the oldest
	// that is over leaves it, zero when there is none.
	Window      int
	WindowUntil time.Time
	// Storm is the storm's object; Total, Firing and Beyond count its alerts, Beyond those over maxAlerts.
	Storm                 string
	Total, Firing, Beyond int
	// Singles is how many incidents of single alerts are open.
	Singles int
	// LastSeen is when an alert of the group was last reported, ResolvedAt when its storm ended.
	LastSeen, ResolvedAt time.Time
	Alert                AlertState
}

// AlertState is what a group knows of one alert.
type AlertState struct {
	// Known: there is a record of it.
	Known bool
	// Status is firing, resolved, or closed: its incident ended while it fired.
	Status     string
	NotifiedAt time.Time
	// Member: it counts among the alerts of the storm.
	Member bool
	// Incident is the object that shows it, and State that object's. Empty when it is a thing of the past.
	Incident string
	State    State
}

// statuses are those of a record in words.
var statuses = map[string]string{"f": string(Firing), "r": string(Resolved), "c": "closed"}

// Peek looks at a group, and at one alert in it, without changing anything. It needs no Load.
func (a *Aggregator) Peek(ctx context.Context, group, fingerprint string) (GroupState, error) {
	v, err := a.read(ctx, group, "", []string{fingerprint})
	if err != nil {
		return GroupState{}, err
	}
	return v.state(fingerprint)
}

// state is what a view shows of a group and of one alert. What time alone has done since, an end by quiet for example,
// shows once somebody folds or takes a snapshot.
func (v view) state(fingerprint string) (GroupState, error) {
	s := GroupState{Now: v.now, Imported: v.imported, Known: v.group.known, Due: v.due, Waiting: v.waiting}
	if !s.Known {
		return s, nil
	}
	m, err := newMerging(v, policyText{})
	if err != nil {
		return s, err
	}
	if err := unmarshalLabels(v.group.labels, &s.Labels); err != nil {
		return s, err
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s.State, s.Revision, s.Policy, s.Overflow = v.group.state, v.group.revision, v.group.policy, v.group.overflow == "1"
	s.Threshold, s.Period, s.Cooldown = int(m.limits.Threshold), ms(m.limits.Window), ms(m.limits.Cooldown)
	s.Singles, s.LastSeen = v.singles, msTime(v.group.lastSeen)
	if !v.imported {
		s.State = groupWaiting
	}
	s.Window = v.counting
	for _, at := range v.recent {
		if v.now.Sub(at) < s.Period {
			s.Window++
			if s.WindowUntil.IsZero() {
				s.WindowUntil = at.Add(s.Period)
			}
		}
	}
	if e := m.current(); e != nil {
		s.Storm, s.Total, s.Firing, s.Beyond = v.group.object, e.Total, e.Firing, e.Beyond
		s.ResolvedAt = msTime(e.EndedAt)
	}
	r := m.records[fingerprint]
	if r == nil {
		return s, nil
	}
	s.Alert = AlertState{Known: true, Status: statuses[string(r.status)], NotifiedAt: msTime(r.at)}
	s.Alert.Member = m.current() != nil && r.member(m.group.since, m.group.generation)
	switch {
	case s.Alert.Member:
		s.Alert.Incident = v.group.object
	case r.mark == '-':
		s.Alert.Incident = r.object
	}
	if e := m.entries[s.Alert.Incident]; e != nil {
		s.Alert.State = e.State
	}
	return s, nil
}

// OverflowOf is the group that takes a group's alerts when its policy has too many groups in its shard.
func OverflowOf(policy, group string) string { return overflowID(policy, ShardOf(group)) }
