package aggregator

import (
	"cmp"
	"strconv"
)

// Shards is the number of hash tags that the groups are spread over. All keys of a group, and the index that says when
// it is due, share one tag, so that one script changes them together on Redis Cluster too.
const Shards = 16

// ShardOf is the shard of a group id: its first two hex digits modulo Shards.
func ShardOf(id string) int {
	n, err := strconv.ParseUint(id[:min(2, len(id))], 16, 8)
	if err != nil {
		return 0 // Group ids are made here, of hex digits only.
	}
	return int(n) % Shards
}

// ShardName is the shard as it stands in keys and on incidents: two decimal digits.
func ShardName(n int) string {
	const tens, ones = "0000000000111111", "0123456789012345"
	return tens[n:n+1] + ones[n:n+1]
}

// DefaultPrefix begins the keys of an installation that was given no prefix of its own.
const DefaultPrefix = "sf"

// importedMark is the member of the due index that says that the shard was imported and the index is still there.
const importedMark = "-"

// factsSuffix follows the name of an object where its facts are kept, beside its entry.
const factsSuffix = "#"

// keyspace makes the keys of one installation. It is the installation's prefix.
type keyspace string

func newKeyspace(prefix string) keyspace { return keyspace(cmp.Or(prefix, DefaultPrefix)) }

// shard is what the keys of a shard begin with. The braces are Redis Cluster's: what is inside of them decides on the
// slot.
func (k keyspace) shard(shard int) string { return "{" + string(k) + ":" + ShardName(shard) + "}:" }

// due indexes the groups of a shard by the time (ms) they want attention.
func (k keyspace) due(shard int) string { return k.shard(shard) + "due" }

// groups counts the groups of a shard per policy.
func (k keyspace) groups(shard int) string { return k.shard(shard) + "groups" }

// epoch is there since the shard was imported from Kubernetes.
func (k keyspace) epoch(shard int) string { return k.shard(shard) + "epoch" }

// lease is that of the import of a shard.
func (k keyspace) lease(shard int) string { return k.shard(shard) + "import" }

// server is the run id of the server under which the shard was imported.
func (k keyspace) server(shard int) string { return k.shard(shard) + "server" }

// wait is written before a WAIT, see exec. It holds nothing.
func (k keyspace) wait(shard int) string { return k.shard(shard) + "wait" }

// format holds the number of the format in which all of this is written, see checkFormat.
func (k keyspace) format() string { return k.shard(0) + "format" }

// groupKeys are the keys of one group; group.lua says what each holds.
type groupKeys struct{ hash, alerts, recent, objects, open, todo, waiting string }

func (k keyspace) group(id string) groupKeys {
	g := k.shard(ShardOf(id)) + "g:" + id
	return groupKeys{
		hash: g, alerts: g + ":alerts", recent: g + ":recent", objects: g + ":objects", open: g + ":open", todo: g + ":todo",
		waiting: g + ":waiting",
	}
}

// list is the keys in the order that group.lua documents.
func (g groupKeys) list() []string {
	return []string{g.hash, g.alerts, g.recent, g.objects, g.open, g.todo, g.waiting}
}

// script is the keys of a script that works on a group, or on several of one shard: those of the shard, then those of
// each group.
func (k keyspace) script(ids ...string) []string {
	shard := ShardOf(ids[0])
	keys := append(make([]string, 0, 3+7*len(ids)), k.due(shard), k.groups(shard), k.epoch(shard))
	for _, id := range ids {
		keys = append(keys, k.group(id).list()...)
	}
	return keys
}

// outage is the keys of a script that works on a group of an outage policy, in the order that outage.lua documents.
func (k keyspace) outage(id string) []string {
	shard := ShardOf(id)
	o := k.shard(shard) + "o:" + id
	return []string{k.due(shard), k.epoch(shard), o, o + ":parts"}
}

// Keys are the keys of a group in the Redis of an installation with that prefix, and the index of its shard that says
// when the group is due.
func Keys(prefix, group string) []string {
	k := newKeyspace(prefix)
	return append(k.group(group).list(), k.due(ShardOf(group)))
}
