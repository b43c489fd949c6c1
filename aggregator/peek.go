package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
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
	// Window counts the alerts that fire or newly fired within the policy's window, and WindowUntil is when the oldest that is over
	// leaves it, zero when there is none.
	Window      int
	WindowUntil time.Time
	// Storm is the storm's object; Total, Firing and Beyond count its alerts, Beyond those over maxAlerts.
	Storm                 string
	Total, Firing, Beyond int
	// Singles is how many incidents of single alerts are open.
	Singles int
	// HeardAt is when the group was last heard of, ResolvedAt when its storm ended.
	HeardAt, ResolvedAt time.Time
	Alert               AlertState
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
	reply, err := a.scripts.peek.Run(ctx, a.rdb, a.keys.script(group), a.scriptClock(), group, fingerprint).Result()
	if err != nil {
		return GroupState{}, fmt.Errorf("looking at group %s: %w", group, classify(err))
	}
	s, err := decodePeek(reply)
	if err != nil {
		return GroupState{}, fmt.Errorf("reading the reply of peek: %w", err)
	}
	return s, nil
}

// decodePeek reads the reply of peek.lua.
func decodePeek(reply any) (GroupState, error) {
	r := newReader(reply)
	s := GroupState{Now: r.time(), Imported: r.int() == 1, Known: r.int() == 1, Due: r.time(), Waiting: int(r.int())}
	if !s.Known || r.err != nil {
		return s, r.err
	}
	s.State, s.Revision, s.Policy = r.string(), r.int(), r.string()
	r.json(&s.Labels)
	s.Overflow = r.int() == 1
	if err := s.params(r.string()); err != nil {
		return s, err
	}
	s.Window = int(r.int())
	if oldest := r.time(); !oldest.IsZero() {
		s.WindowUntil = oldest.Add(s.Period)
	}
	s.Storm, s.Total, s.Firing, s.Beyond = r.string(), int(r.int()), int(r.int()), int(r.int())
	s.Singles, s.HeardAt, s.ResolvedAt = int(r.int()), r.time(), r.time()
	status := r.string()
	s.Alert = AlertState{Known: status != "", Status: statuses[status], NotifiedAt: r.time(), Member: r.int() == 1, Incident: r.string()}
	var e entry
	if text := r.string(); text != "" {
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return s, fmt.Errorf("%w: entry %q", ErrReply, text)
		}
	}
	s.Alert.State = e.State
	return s, r.err
}

// params reads those of a policy's numbers that say how far a group is from a storm, durations in ms.
func (s *GroupState) params(text string) error {
	var p struct{ Threshold, Window, Cooldown int64 }
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return fmt.Errorf("%w: parameters %q", ErrReply, text)
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s.Threshold, s.Period, s.Cooldown = int(p.Threshold), ms(p.Window), ms(p.Cooldown)
	return nil
}

// OverflowOf is the group that takes a group's alerts when its policy has too many groups in its shard.
func OverflowOf(policy, group string) string { return overflowID(policy, ShardOf(group)) }
