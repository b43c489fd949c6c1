package aggregator

import "strconv"

// Shards is the number of hash tags that the groups are spread over. All keys of a group, and the index that says when it
// is due, share one tag, so that one script changes them together on Redis Cluster too.
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

// dueKey indexes the groups of a shard by the time (ms) they want attention.
func dueKey(shard int) string { return "{sf:" + ShardName(shard) + "}:due" }

// groupsKey counts the groups of a shard per policy.
func groupsKey(shard int) string { return "{sf:" + ShardName(shard) + "}:groups" }

// epochKey is there since the shard was imported from Kubernetes.
func epochKey(shard int) string { return "{sf:" + ShardName(shard) + "}:epoch" }

// importKey is the lease for the import of a shard.
func importKey(shard int) string { return "{sf:" + ShardName(shard) + "}:import" }

// serverKey is the run id of the server under which the shard was imported.
func serverKey(shard int) string { return "{sf:" + ShardName(shard) + "}:server" }

// waitKey is written before a WAIT, see exec. It holds nothing.
func waitKey(shard int) string { return "{sf:" + ShardName(shard) + "}:wait" }

// shardKeys are the first keys of every script that works on one group.
func shardKeys(shard int) []string {
	return []string{dueKey(shard), groupsKey(shard), epochKey(shard)}
}

// importedMark is the member of the due index that says that the shard was imported and the index is still there.
const importedMark = "-"

// factsSuffix follows the name of an object where its facts are kept, beside its entry.
const factsSuffix = "#"

// objectsKey holds the entries of a group's objects.
func objectsKey(shard int, id string) string { return groupKeys(shard, id)[3] }

// groupKeys are the seven keys of one group, in the order that lib.lua documents.
func groupKeys(shard int, id string) []string {
	g := "{sf:" + ShardName(shard) + "}:g:" + id
	return []string{g, g + ":alerts", g + ":recent", g + ":objects", g + ":open", g + ":todo", g + ":waiting"}
}
