package aggregator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/stormfold/stormfold/config"
)

// Kind says by which policy and labels alerts come to a group, so that a group that is still open can be found after the
// policies have changed.
type Kind struct {
	// Route stands for everything that sends an alert to the policy, see config.Policy.
	Route, Policy string
	GroupBy       []string
}

// KindOf is the kind of a policy's groups.
func KindOf(p *config.Policy) Kind { return Kind{Route: p.Route, Policy: p.Name, GroupBy: p.GroupBy} }

// String is a kind as groups remember it, a JSON list. ParseKind reads it.
func (k Kind) String() string {
	text, _ := json.Marshal(append([]string{k.Route, k.Policy}, k.GroupBy...)) // Strings can always be encoded.
	return string(text)
}

// ParseKind reads what String writes.
func ParseKind(text string) (Kind, error) {
	var parts []string
	if err := json.Unmarshal([]byte(text), &parts); err != nil || len(parts) < 2 {
		return Kind{}, fmt.Errorf("%w: kind of group %q", ErrReply, text)
	}
	return Kind{Route: parts[0], Policy: parts[1], GroupBy: parts[2:]}, nil
}

// place is an alert of an event: the number of its group, and its own in that.
type place struct{ group, alert int }

// Older are the alerts of an event, by the groups of earlier policies that may still have them.
type Older struct {
	// Groups are those, and Folded is what FoldOlder made of each; empty where a group had none of the alerts.
	Groups []Group
	Folded []Folded
	// Rest are the event's own groups, without the alerts that FoldOlder folded.
	Rest []Group

	places [][]place
}

// OlderGroups sorts the alerts of an event's groups by the groups that they would have under earlier policies.
func OlderGroups(kinds []Kind, groups []Group) Older {
	out := Older{Rest: groups}
	index := map[string]int{}
	for _, kind := range kinds {
		policy := &config.Policy{Name: kind.Policy, GroupBy: kind.GroupBy}
		for g := range groups {
			for n := range groups[g].Alerts {
				alert := groups[g].Alerts[n]
				labels := groupLabels(policy, alert.reading())
				id := GroupID(policy.Name, labels)
				if id == groups[g].ID {
					continue
				}
				at, seen := index[id]
				if !seen || len(out.Groups[at].Alerts) == foldAlerts {
					at = len(out.Groups)
					index[id] = at
					out.Groups = append(out.Groups, Group{ID: id, Policy: policy, Labels: labels, Notifications: groups[g].Notifications})
					out.places = append(out.places, nil)
				}
				out.Groups[at].Alerts = append(out.Groups[at].Alerts, alert)
				out.places[at] = append(out.places[at], place{g, n})
			}
		}
	}
	return out
}

// FoldOlder folds alerts into groups of earlier policies where they fire in an incident: it ends when they do, although the
// policies in force would send them elsewhere. Alerts that no such group has are left in Rest. On an error the event has to be
// delivered again; each group's Err says which of them did not answer. With ErrReplicas all have been folded.
func (a *Aggregator) FoldOlder(ctx context.Context, o *Older) error {
	taken := map[place]bool{}
	unsafe := a.foldLive(ctx, o, 0, taken)
	if unsafe != nil && !errors.Is(unsafe, ErrReplicas) {
		return unsafe
	}
	rest, older := o.Rest, len(o.Groups)
	o.Rest = nil
	for g, group := range rest {
		both := group
		group.Alerts, both.Alerts = nil, nil
		var places []place
		for n, alert := range rest[g].Alerts {
			switch at := (place{g, n}); {
			case !taken[at]:
				group.Alerts = append(group.Alerts, alert)
			case alert.Status == Resolved:
				both.Alerts, places = append(both.Alerts, alert), append(places, at)
			}
		}
		if len(group.Alerts) > 0 {
			o.Rest = append(o.Rest, group)
		}
		// A pod that did not know of the older group may have let an alert fire here, too: then it ends in both.
		for len(both.Alerts) > 0 {
			n := min(len(both.Alerts), foldAlerts)
			part := both
			part.Alerts = both.Alerts[:n]
			o.Groups, o.places = append(o.Groups, part), append(o.places, places[:n])
			both.Alerts, places = both.Alerts[n:], places[n:]
		}
	}
	return cmp.Or(a.foldLive(ctx, o, older, taken), unsafe)
}

// foldLive folds the alerts of the groups from a number on where they fire in an incident of their group, and notes which do. Its
// error is ErrReplicas only where all have been folded.
func (a *Aggregator) foldLive(ctx context.Context, o *Older, from int, taken map[place]bool) error {
	calls := make([]call, len(o.Groups)-from)
	for i, g := range o.Groups[from:] {
		var err error
		if calls[i], err = a.olderCall(g, uuid.NewString()); err != nil {
			return err
		}
	}
	if len(calls) == 0 {
		return nil
	}
	var failed, unsafe error
	for i, r := range a.run(ctx, a.scripts.fold, calls) {
		f, err := decodeOlder(r, o.Groups[from+i])
		if err != nil && !errors.Is(err, ErrReplicas) {
			o.Folded = append(o.Folded, Folded{Err: err})
			failed = cmp.Or(failed, err)
			continue
		}
		unsafe = cmp.Or(unsafe, err)
		if f.Token != "" {
			f.Token = calls[i].token
		}
		for n, at := range o.places[from+i] {
			taken[at] = taken[at] || !slices.Contains(f.elsewhere, n+1)
		}
		if len(f.elsewhere) == len(o.Groups[from+i].Alerts) && !f.Changed { // Time alone may have changed it.
			f = Folded{}
		}
		f.Err = err
		o.Folded = append(o.Folded, f)
	}
	return cmp.Or(failed, unsafe)
}

func decodeOlder(r result, g Group) (Folded, error) {
	var failed error
	if r.err != nil {
		failed = fmt.Errorf("folding into a group of earlier policies: %w", classify(r.err))
		if !errors.Is(failed, ErrReplicas) {
			return Folded{}, failed
		}
	}
	f, _, err := decodeFolded(r.reply, g)
	return f, cmp.Or(err, failed)
}

// olderCall prepares one run of fold.lua for a group that goes on as it is.
func (a *Aggregator) olderCall(g Group, token string) (call, error) {
	c, err := a.policyless(g.ID, token, g.Notifications)
	for _, alert := range g.Alerts {
		c.args = append(c.args, reportOf(alert, g.Policy.Breakdown, true)...)
	}
	return c, err
}
