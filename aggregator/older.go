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
	calls := make([]call, len(out.Groups))
	for i, g := range out.Groups {
		calls[i] = a.olderCall(g, uuid.NewString())
	}
	taken := map[place]bool{}
	var groupsOf []Group
	for i, r := range a.run(ctx, a.scripts.fold, calls) {
		if r.err != nil {
			return Older{}, fmt.Errorf("folding into a group of earlier policies: %w", classify(r.err))
		}
		f, _, err := decodeFolded(r.reply, out.Groups[i])
		if err != nil {
			return Older{}, err
		}
		left := map[int]bool{}
		for _, n := range f.elsewhere {
			left[n-1] = true
		}
		g := out.Groups[i]
		g.Alerts = nil
		for n, alert := range out.Groups[i].Alerts {
			if !left[n] {
				g.Alerts = append(g.Alerts, alert)
				taken[places[i][n]] = true
			}
		}
		if len(g.Alerts) == 0 && !f.Changed { // Time alone may have changed it.
			continue
		}
		if f.Token != "" {
			f.Token = calls[i].token
		}
		groupsOf, out.Folded = append(groupsOf, g), append(out.Folded, f)
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

// olderCall prepares one run of fold.lua for a group that goes on as it is, see its header.
func (a *Aggregator) olderCall(g Group, token string) call {
	args := make([]any, 0, 13+9*len(g.Alerts))
	args = append(args, a.scriptClock(), token, a.lease.Milliseconds(), g.ID, "", "", "", "", "", "", g.Notifications, "", "")
	for _, alert := range g.Alerts {
		args = append(args, wordOf(alert, g.Policy.Breakdown, true)...)
	}
	return call{shard: ShardOf(g.ID), keys: a.keys.script(g.ID), args: args, token: token}
}
