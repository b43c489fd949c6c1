package aggregator

import (
	"context"
	"encoding/json"
	"fmt"

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

// Older is what FoldOlder did.
type Older struct {
	// Groups took alerts, and Folded is what became of them, side by side.
	Groups []Group
	Folded []Folded
	// Rest are the groups of the policies in force with the alerts that no older group took.
	Rest []Group
}

// FoldOlder folds alerts into groups of earlier policies where they fire in an incident: it ends when they do, although the
// policies in force would send them elsewhere. Alerts that no such group has are left. On an error the event has to be delivered
// again.
func (a *Aggregator) FoldOlder(ctx context.Context, kinds []Kind, groups []Group) (Older, error) {
	type place struct{ group, alert int }
	var out Older
	var places [][]place
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
					out.Groups, places = append(out.Groups, Group{ID: id, Policy: policy, Labels: labels}), append(places, nil)
				}
				out.Groups[at].Alerts = append(out.Groups[at].Alerts, alert)
				out.Groups[at].Notifications = groups[g].Notifications
				places[at] = append(places[at], place{g, n})
			}
		}
	}
	older, left, err := a.foldLive(ctx, out.Groups)
	if err != nil {
		return Older{}, err
	}
	taken := map[place]bool{}
	for i := range out.Groups {
		for n, at := range places[i] {
			taken[at] = taken[at] || !left[i][n]
		}
	}
	// A pod that did not know of the older group yet may have let an alert fire in a group of the policies in force, too.
	var both []Group
	for g, group := range groups {
		group.Alerts = nil
		for n, alert := range groups[g].Alerts {
			if taken[place{g, n}] && alert.Status == Resolved {
				group.Alerts = append(group.Alerts, alert)
			}
		}
		for from := 0; from < len(group.Alerts); from += foldAlerts {
			part := group
			part.Alerts = group.Alerts[from:min(from+foldAlerts, len(group.Alerts))]
			both = append(both, part)
		}
	}
	too, leftToo, err := a.foldLive(ctx, both)
	if err != nil {
		return Older{}, err
	}
	older, left, out.Groups = append(older, too...), append(left, leftToo...), append(out.Groups, both...)
	var groupsOf []Group
	for i, f := range older {
		g := out.Groups[i]
		g.Alerts = nil
		for n, alert := range out.Groups[i].Alerts {
			if !left[i][n] {
				g.Alerts = append(g.Alerts, alert)
			}
		}
		if len(g.Alerts) > 0 || f.Changed { // Time alone may have changed it.
			groupsOf, out.Folded = append(groupsOf, g), append(out.Folded, f)
		}
	}
	out.Groups = groupsOf
	for g, group := range groups {
		group.Alerts = nil
		for n, alert := range groups[g].Alerts {
			if !taken[place{g, n}] {
				group.Alerts = append(group.Alerts, alert)
			}
		}
		if len(group.Alerts) > 0 {
			out.Rest = append(out.Rest, group)
		}
	}
	return out, nil
}

// foldLive folds alerts where they fire in an incident of their group. It returns which of each group's alerts do not.
func (a *Aggregator) foldLive(ctx context.Context, groups []Group) (folded []Folded, left []map[int]bool, err error) {
	if len(groups) == 0 {
		return nil, nil, nil
	}
	calls := make([]call, len(groups))
	for i, g := range groups {
		calls[i] = a.olderCall(g, uuid.NewString())
	}
	for i, r := range a.run(ctx, a.scripts.fold, calls) {
		if r.err != nil {
			return nil, nil, fmt.Errorf("folding into a group of earlier policies: %w", classify(r.err))
		}
		f, _, err := decodeFolded(r.reply, groups[i])
		if err != nil {
			return nil, nil, err
		}
		if f.Token != "" {
			f.Token = calls[i].token
		}
		not := map[int]bool{}
		for _, n := range f.elsewhere {
			not[n-1] = true
		}
		folded, left = append(folded, f), append(left, not)
	}
	return folded, left, nil
}

// olderCall prepares one run of fold.lua for a group that goes on as it is, see its header.
func (a *Aggregator) olderCall(g Group, token string) call {
	args := make([]any, 0, 13+9*len(g.Alerts))
	args = append(args, a.scriptClock(), token, a.lease.Milliseconds(), g.ID, "", "", "", "", "", "", g.Notifications, "", "")
	for _, alert := range g.Alerts {
		args = append(args, wordOf(alert, g.Policy.Breakdown, true)...)
	}
	return call{shard: ShardOf(g.ID), keys: a.keys.script(g.ID), args: args, token: token}
}
