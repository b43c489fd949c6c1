package aggregator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stormfold/stormfold/config"
)

// foldAlerts is how many alerts one call of the script takes: it bounds the time that Redis serves nobody else.
const foldAlerts = 256

// Folded is what became of the alerts of one group.
type Folded struct {
	// Group took the alerts; it differs from the one asked for when that went into its policy's overflow group.
	Group    string
	Policy   string
	Revision int64
	// Changed is false when the event said nothing new.
	Changed bool
	// Token is the lease, when the caller got it: it has to take a Snapshot now. Empty otherwise.
	Token string
	// TookOver: the lease was another's, who never gave it back.
	TookOver bool
	// Due is when the group wants attention next.
	Due time.Time
	// State is calm, storm, or cool: resolved and still within the cooldown. It is waiting when the alerts are safe but
	// nothing is decided before the group's incidents have been imported from Kubernetes.
	State string
	// Window is how many distinct alerts count towards a storm, while the group is calm: those that fire, and those
	// that newly fired within the policy's window and are over.
	Window int
	// WindowUntil is when the oldest of the latter leaves the window; zero when there is none.
	WindowUntil time.Time
	// Total and Firing count the storm's alerts.
	Total, Firing int
	// NewlyFiring counts the alerts of this event that began to fire.
	NewlyFiring int
	// Now is Redis' clock.
	Now         time.Time
	Transitions []Transition
	// Err is why the group did not take all of the alerts, nil when it did; the other fields say nothing then. With
	// ErrReplicas it has taken them, the fields hold, and yet the event has to be delivered again.
	Err error

	// elsewhere are the numbers, from 1 on, of the alerts that FoldOlder left.
	elsewhere []int
}

// Fold joins the alerts of every group with what Redis holds, all groups in one round trip. The namespace is where a
// new incident of a group is to be written. On an error some groups may have taken their alerts and others not, as each
// one's Err says: the event has to be delivered again, which changes nothing for the former. The error is the first of
// those.
func (a *Aggregator) Fold(ctx context.Context, groups []Group, namespace func(Group) string) ([]Folded, error) {
	var calls []call
	var parts []Group
	last := make([]int, len(groups))
	for i, group := range groups {
		for from := 0; from < len(group.Alerts); from += foldAlerts {
			part := group
			part.Alerts = group.Alerts[from:min(from+foldAlerts, len(group.Alerts))]
			token := ""
			if from+foldAlerts >= len(group.Alerts) {
				token = uuid.NewString()
			}
			c, err := a.foldCall(part, namespace(group), token, a.storms.of(group.ID))
			if err != nil {
				return nil, err
			}
			calls, parts = append(calls, c), append(parts, part)
		}
		last[i] = len(calls) - 1
	}
	results := a.run(ctx, a.scripts.fold, calls)
	if err := a.foldAgain(ctx, parts, calls, results, namespace); err != nil {
		return nil, err
	}
	out := make([]Folded, len(groups))
	next := 0
	for i, group := range groups {
		var transitions []Transition
		changed, newly := false, 0
		var failed error
		for ; next <= last[i]; next++ {
			if err := results[next].err; err != nil {
				failed = cmp.Or(failed, fmt.Errorf("folding: %w", classify(err)))
				if !errors.Is(err, ErrReplicas) {
					continue
				}
			}
			f, storm, err := decodeFolded(results[next].reply, group)
			if err != nil {
				failed = cmp.Or(failed, err)
				continue
			}
			if f.Group != group.ID { // An overflow group is asked for by many names.
				storm.object = ""
			}
			a.storms.saw(group.ID, storm)
			transitions = append(transitions, f.Transitions...)
			changed, newly = changed || f.Changed, newly+f.NewlyFiring
			if f.Token != "" {
				f.Token = calls[next].token
			}
			out[i] = f
		}
		out[i].Transitions, out[i].Changed, out[i].NewlyFiring, out[i].Err = transitions, changed, newly, failed
	}
	var first error
	for _, f := range out {
		if a.clock == nil && !f.Now.IsZero() {
			a.sawClock(f.Now)
		}
		first = cmp.Or(first, f.Err)
	}
	return out, first
}

// foldAgain runs those calls again, with all that there is to say, that took their group for another storm than it is.
func (a *Aggregator) foldAgain(
	ctx context.Context,
	parts []Group,
	calls []call,
	results []result,
	namespace func(Group) string,
) error {
	var again []int
	var whole []call
	for i, r := range results {
		if reply, ok := r.reply.([]any); !ok || len(reply) != 1 || reply[0] != otherState {
			continue
		}
		c, err := a.foldCall(parts[i], namespace(parts[i]), calls[i].token, storm{})
		if err != nil {
			return err
		}
		again, whole = append(again, i), append(whole, c)
	}
	if len(again) == 0 {
		return nil
	}
	for n, r := range a.run(ctx, a.scripts.fold, whole) {
		results[again[n]] = r
	}
	return nil
}

// Replay folds alerts of a group that have waited for its import, at most 256 of them; Snapshot returns ErrWaiting
// while there are more.
func (a *Aggregator) Replay(ctx context.Context, group string) (Folded, error) {
	c, err := a.policyless(group, "", "")
	if err != nil {
		return Folded{}, err
	}
	reply, err := a.scripts.fold.Run(ctx, a.rdb, c.keys, c.args...).Result()
	if err != nil {
		return Folded{}, fmt.Errorf("folding what waited in group %s: %w", group, classify(err))
	}
	f, _, err := decodeFolded(reply, Group{Policy: &config.Policy{}})
	if err == nil && len(f.Transitions) > 0 {
		a.name(ctx, &f, a.keys.group(group).hash)
	}
	return f, err
}

// name says of which policy and alert a group is, where no event does. It has been folded: what happened is reported,
// whether Redis answers now or not.
func (a *Aggregator) name(ctx context.Context, f *Folded, groupKey string) {
	of := a.rdb.HMGet(ctx, groupKey, "policy", "labels").Val()
	r := newReader(of)
	policy, labels := r.string(), map[string]string{}
	if r.json(&labels); r.err != nil {
		return
	}
	f.Policy = policy
	for i := range f.Transitions {
		f.Transitions[i].Policy, f.Transitions[i].AlertName = policy, labels["alertname"]
	}
}

// call is one run of a script.
type call struct {
	shard int
	keys  []string
	args  []any
	token string
}

// otherState is all that fold.lua returns for a group that is no such storm as it was told.
const otherState = "other"

// foldHead is the first argument of fold.lua, see its header.
type foldHead struct {
	Now           int64  `json:"now"`
	Token         string `json:"token"`
	Lease         int64  `json:"lease"`
	Group         string `json:"group"`
	Policy        string `json:"policy"`
	Labels        string `json:"labels"`
	Overflow      string `json:"overflow"`
	Namespace     string `json:"namespace"`
	Storm         string `json:"storm"`
	Common        string `json:"common"`
	Notifications string `json:"notifications"`
}

// foldCall prepares one run of fold.lua: for the group in any state, or for the storm that it is remembered as.
func (a *Aggregator) foldCall(g Group, namespace, token string, as storm) (call, error) {
	policy, err := a.policies.of(g.Policy)
	if err != nil {
		return call{}, err
	}
	head := foldHead{
		Now: a.scriptTime(), Token: token, Lease: a.lease.Milliseconds(), Group: g.ID, Policy: g.Policy.Name,
		Namespace: namespace,
		Storm:     as.object, Notifications: g.Notifications,
	}
	ids := []string{g.ID}
	if as.object == "" {
		labels, err := json.Marshal(clipLabels(g.Labels))
		if err != nil {
			return call{}, err
		}
		head.Labels, head.Overflow = string(labels), overflowID(g.Policy.Name, ShardOf(g.ID))
		ids = append(ids, head.Overflow)
	}
	if as.object == "" || !as.covers(g.Alerts) {
		shared, err := json.Marshal(common(g.Alerts))
		if err != nil {
			return call{}, err
		}
		head.Common = string(shared)
	}
	return a.newCall(head, policy, ids, g, as.object == "")
}

// policyless prepares a run of fold.lua for a group that goes on as it is, without alerts so far.
func (a *Aggregator) policyless(group, token, notifications string) (call, error) {
	head := foldHead{
		Now: a.scriptTime(), Token: token, Lease: a.lease.Milliseconds(), Group: group, Notifications: notifications,
	}
	return a.newCall(head, policyText{}, []string{group}, Group{}, true)
}

func (a *Aggregator) newCall(head foldHead, policy policyText, ids []string, g Group, whole bool) (call, error) {
	text, err := json.Marshal(head)
	if err != nil {
		return call{}, err
	}
	args := make([]any, 0, 3+9*len(g.Alerts))
	args = append(args, text, policy.limits, policy.settings)
	outages, names := a.outages()
	for _, alert := range g.Alerts {
		alert.traits = traitsOf(alert, outages, names)
		args = append(args, reportOf(alert, g.Policy.Breakdown, whole)...)
	}
	return call{shard: ShardOf(head.Group), keys: a.keys.script(ids...), args: args, token: head.Token}, nil
}

// reportOf are the arguments of fold.lua about one alert: with all that an incident of its own would show, or without.
func reportOf(alert Alert, breakdown []string, whole bool) []any {
	word, ends := "f", int64(0)
	if alert.Status == Resolved {
		word = "r"
		if !alert.EndsAt.IsZero() {
			ends = alert.EndsAt.UnixMilli()
		}
	}
	name, facts := "", ""
	if whole {
		name, facts = slug(alert.Labels["alertname"]), factsOf(alert)
	}
	return []any{
		alert.Fingerprint, alert.Source, word, alert.NotifiedAt.UnixMilli(), alert.StartsAt.UnixMilli(), ends,
		recordRest(alert, breakdown), name, facts,
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// slug makes an alert's name the beginning of an object's name: lower-case letters, digits and dashes, at most 50 bytes
// (with the 11 that follow it fits into a label value of Kubernetes, 63 bytes).
func slug(name string) string {
	var b strings.Builder
	dash := false
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		case r >= 'A' && r <= 'Z':
			if i > 0 && !dash && b.Len() > 0 && startsWord(name, i) {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		default:
			dash = b.Len() > 0
			continue
		}
		if dash {
			b.WriteByte('-')
			dash = false
		}
		b.WriteRune(r)
	}
	s := b.String()
	if len(s) > 50 {
		s = strings.TrimRight(s[:50], "-")
	}
	if s == "" {
		return "alert"
	}
	return s
}

// startsWord is true where a capital letter follows a small one or a digit, or leads a small one: KubePodCrash,
// HTTPError.
func startsWord(s string, i int) bool {
	small := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	return small(s[i-1]) || i+1 < len(s) && s[i+1] >= 'a' && s[i+1] <= 'z' && s[i-1] >= 'A' && s[i-1] <= 'Z'
}
