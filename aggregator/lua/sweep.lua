#!lua flags=no-writes
-- sweep: names the groups of a shard that want attention, the longest waiting first. It changes nothing; what is to be
-- done with each of them is the snapshot's business.
--
-- KEYS 1 due index, 2 epoch
-- ARGV 1 clock (ms, 0: Redis' own), 2 how many at most
-- Returns {epoch ('': the shard has not been imported), group id...}

local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(clock(ARGV[1])), 'LIMIT', 0, ARGV[2])
table.insert(ids, 1, imported(KEYS[1], KEYS[2]) and redis.call('GET', KEYS[2]) or '')
return ids
