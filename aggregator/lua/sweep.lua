#!lua flags=no-writes
-- sweep: names the groups of a shard that want attention, the longest waiting first. It changes nothing; what is to be
-- done with each of them is the snapshot's business.
--
-- KEYS 1 due index, 2 epoch, 3 server, 4 groups per policy
-- ARGV 1 clock (ms, 0: Redis' own), 2 how many at most
-- Returns {now, epoch ('': the shard has not been imported, 'again': that was under another server), how many groups there are, open
--      incidents of single alerts, open storms, overflow groups, kinds of which a group has something open {kind...}, group id...}

local now = clock(ARGV[1])
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, ARGV[2])
local out = {now, epoch_of(KEYS[1], KEYS[2], KEYS[3])}
out[3] = redis.call('ZCARD', KEYS[1]) - (redis.call('ZSCORE', KEYS[1], '-') and 1 or 0)
for _, n in ipairs(redis.call('HMGET', KEYS[4], '#A', '#S', '#O')) do out[#out + 1] = n or '0' end
local kinds, counted = {}, redis.call('HGETALL', KEYS[4])
for i = 1, #counted, 2 do
  if string.sub(counted[i], 1, 1) == '@' then kinds[#kinds + 1] = string.sub(counted[i], 2) end
end
out[#out + 1] = kinds
for _, id in ipairs(ids) do out[#out + 1] = id end
return out
