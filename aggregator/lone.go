package aggregator

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// Lone is the snapshot of a group as if this alert were all that is known of it: an open incident of one alert. It is for a
// firing alert that cannot be folded, since Redis fails. Every pod and every delivery makes the same name for the same
// firing; the revision is the time, as that of a fold would be, so that the group can take the incident over.
func Lone(g Group, alert Alert, namespace string, now time.Time) *Snapshot {
	f := facts(alert)
	return &Snapshot{
		Group: g.ID, Shard: ShardOf(g.ID), Policy: g.Policy.Name, Labels: clipLabels(g.Labels), Now: now,
		MaxListed: g.Policy.MaxListed, Breakdown: g.Policy.Breakdown, Severities: g.Policy.Severities,
		Objects: []Object{{
			Name: loneName(g.ID, alert), Namespace: namespace, Fingerprint: alert.Fingerprint, State: StateFiring,
			Revision: now.UnixMilli(), OpenedAt: now, ChangedAt: now, Total: 1, Firing: 1, Truncated: g.Truncated,
			CommonLabels: f.Labels, Facts: f, Members: []Member{f.member(alert.Fingerprint, true, g.Policy.Breakdown)},
		}},
	}
}

// loneName looks like the names that fold.lua makes, and is made of what stays the same in a redelivery.
func loneName(group string, alert Alert) string {
	start := binary.BigEndian.AppendUint64(nil, uint64(alert.StartsAt.Unix()))
	sum := sha256.Sum256([]byte("passthrough:" + group + ":" + alert.Fingerprint + ":" + string(start)))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:7]))
	return slug(alert.Labels["alertname"]) + "-" + hash[:10]
}
