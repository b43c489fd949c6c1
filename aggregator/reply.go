package aggregator

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// reader takes the parts of a script's reply one by one and keeps the first error, so that a reply of another shape is
// an error and never a crash.
type reader struct {
	parts []any
	at    int
	err   error
}

func newReader(reply any) *reader {
	parts, ok := reply.([]any)
	r := &reader{parts: parts}
	if !ok {
		r.err = fmt.Errorf("%w: %T where a list was expected", ErrReply, reply)
	}
	return r
}

func (r *reader) next() any {
	if r.err != nil {
		return nil
	}
	if r.at >= len(r.parts) {
		r.err = fmt.Errorf("%w: only %d parts", ErrReply, len(r.parts))
		return nil
	}
	r.at++
	return r.parts[r.at-1]
}

func (r *reader) fail(part any, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: part %d is %v where %s was expected", ErrReply, r.at, part, want)
	}
}

// int takes a whole number, which a script gives as a number or, beyond doubt, as its digits.
func (r *reader) int() int64 {
	part := r.next()
	switch v := part.(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	r.fail(part, "a whole number")
	return 0
}

func (r *reader) string() string {
	part := r.next()
	s, ok := part.(string)
	if !ok {
		r.fail(part, "a string")
	}
	return s
}

func (r *reader) list() []any {
	part := r.next()
	l, ok := part.([]any)
	if !ok {
		r.fail(part, "a list")
	}
	return l
}

// time takes milliseconds since 1970.
func (r *reader) time() time.Time { return msTime(r.int()) }

// json takes JSON text into v; an empty text leaves v as it is.
func (r *reader) json(v any) {
	s := r.string()
	if r.err != nil || s == "" {
		return
	}
	if err := json.Unmarshal([]byte(s), v); err != nil {
		r.err = fmt.Errorf("%w: part %d: %w", ErrReply, r.at, err)
	}
}

// msTime is a time from milliseconds since 1970; 0 is the zero time.
func msTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// decodeFolded reads the reply of fold.lua, and what it says about an open storm.
func decodeFolded(reply any, group Group) (Folded, storm, error) {
	r := newReader(reply)
	f := Folded{Policy: group.Policy.Name}
	f.Now = r.time()
	f.Group = r.string()
	f.Revision = r.int()
	f.Changed = r.int() == 1
	if granted := r.int(); granted > 0 {
		f.Token, f.TookOver = "granted", granted > 1
	}
	f.Due = r.time()
	f.State = r.string()
	f.Window = int(r.int())
	f.WindowUntil = r.time()
	f.Total = int(r.int())
	f.Firing = int(r.int())
	f.NewlyFiring = int(r.int())
	f.Transitions = r.transitions(f.Group, f.Policy, alertName(group.Labels, group.Alerts))
	is := storm{object: r.string()}
	r.json(&is.common)
	for _, n := range r.list() {
		i, _ := n.(int64)
		f.elsewhere = append(f.elsewhere, int(i))
	}
	if r.err != nil {
		return Folded{}, storm{}, fmt.Errorf("reading the reply of fold: %w", r.err)
	}
	return f, is, nil
}

// transitions takes a list of {kind, name, namespace, revision, total, firing, reason, type, told}.
func (r *reader) transitions(group, policy, alert string) []Transition {
	var out []Transition
	for _, item := range r.list() {
		t := newReader(item)
		out = append(out, Transition{
			Type: TransitionType(t.string()), Incident: t.string(), Namespace: t.string(), Revision: t.int(),
			Total: int(t.int()), Firing: int(t.int()), Reason: t.string(),
			Storm: t.string() == typeStorm, Told: t.int() == 1,
			Group: group, Policy: policy, AlertName: alert,
		})
		if t.err != nil && r.err == nil {
			r.err = t.err
		}
	}
	return out
}

// alertName is the name that all alerts of the group share, or the first one's.
func alertName(labels map[string]string, alerts []Alert) string {
	if name := labels["alertname"]; name != "" || len(alerts) == 0 {
		return name
	}
	return alerts[0].Labels["alertname"]
}
