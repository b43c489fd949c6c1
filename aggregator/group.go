package aggregator

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/subject"
)

// Group is what one event says about one group: the alerts that share the values of a policy's groupBy labels.
type Group struct {
	ID     string
	Policy *config.Policy
	// Labels are the groupBy labels that the alerts have, derived ones too, with their values.
	Labels    map[string]string
	Alerts    []Alert
	Truncated bool
	// Notifications are the sender's that the alerts came with: its key of each one's group and a space, with ! before
	// it when alerts were left out. Empty when they have no key and are complete.
	Notifications string
}

// Split reads the alerts of an event and sorts them into groups, in the order of their first alerts. In each the firing
// ones come first: a large group is folded in several calls, and what still fires must be known before the rest is
// over.
func Split(policies config.Policies, batch Batch) []Group {
	var groups []Group
	index := map[string]int{}
	last := -1 // The group of the alert before.
	readings := make([]subject.Reading, len(batch.Alerts))
	for i, alert := range batch.Alerts {
		r := &readings[i]
		*r = policies.Subjects.Read(alert.Labels)
		alert.read(r)
		policy := policies.Match(r)
		if last >= 0 && groups[last].takes(policy, r) { // Mostly: a notification is of one group of its sender.
			groups[last].Alerts = append(groups[last].Alerts, alert)
			continue
		}
		labels := groupLabels(policy, r)
		id := GroupID(policy.Name, labels)
		at, seen := index[id]
		if !seen {
			at = len(groups)
			index[id] = at
			groups = append(groups, Group{
				ID: id, Policy: policy, Labels: labels, Truncated: batch.Truncated, Notifications: batch.notification(),
			})
		}
		groups[at].Alerts = append(groups[at].Alerts, alert)
		last = at
	}
	for i := range groups {
		slices.SortStableFunc(groups[i].Alerts, func(a, b Alert) int { return cmp.Compare(a.Status, b.Status) })
	}
	return groups
}

// groupLabels are the policy's groupBy labels that an alert has, with their values.
func groupLabels(policy *config.Policy, r *subject.Reading) map[string]string {
	labels := make(map[string]string, len(policy.GroupBy))
	for _, name := range policy.GroupBy {
		if value := r.Value(name); value != "" {
			labels[name] = value
		}
	}
	return labels
}

// Namespace is the one that the group's first alert is about.
func (g *Group) Namespace() string { return g.Alerts[0].reading().Namespace }

// Keep leaves out the groups of policies that drop their alerts, and counts the alerts in them.
func Keep(groups []Group) (kept []Group, dropped int) {
	for _, g := range groups {
		if g.Policy.Drop {
			dropped += len(g.Alerts)
		} else {
			kept = append(kept, g)
		}
	}
	return kept, dropped
}

// takes tells whether an alert of that policy belongs to the group.
func (g *Group) takes(policy *config.Policy, r *subject.Reading) bool {
	if g.Policy != policy {
		return false
	}
	for _, name := range policy.GroupBy {
		if r.Value(name) != g.Labels[name] {
			return false
		}
	}
	return true
}

// GroupID is 16 hex digits of the SHA-256 of the policy's name and the label pairs in order of their names, each part
// behind its length, so that "ab"+"c" is not "a"+"bc".
func GroupID(policy string, labels map[string]string) string {
	h := sha256.New()
	part := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	names := make([]string, 0, len(labels))
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	part(policy)
	for _, name := range names {
		part(name)
		part(labels[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// overflowID is the group that takes the alerts of a policy in a shard once the policy has as many groups there as it
// may have. Its first two digits are the shard's, so that it lives there.
func overflowID(policy string, shard int) string {
	rest := GroupID(policy, map[string]string{"": "overflow"})[2:]
	return fmt.Sprintf("%02x", shard) + rest
}
