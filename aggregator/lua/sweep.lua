#!lua flags=no-writes
-- sweep: names the groups of a shard that want attention, the longest waiting first. It changes nothing; what is to be
-- done with each of them is the snapshot's business.
--
-- KEYS 1 due index, 2 epoch, 3 server
-- ARGV 1 clock (ms, 0: Redis' own), 2 how many at most
-- Returns {epoch ('': the shard has not been imported, 'again': that was under another server), group id...}

local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(clock(ARGV[1])), 'LIMIT', 0, ARGV[2])
table.insert(ids, 1, epoch_of(KEYS[1], KEYS[2], KEYS[3]))
return ids
