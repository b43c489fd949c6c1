#!lua flags=no-writes
-- #include server
-- sweep: names the groups of a shard that want attention, the longest waiting first, and counts what is in the shard.
--
-- KEYS  1 due index, 2 epoch, 3 server, 4 groups per policy
-- ARGV  1 clock (ms, 0: Redis' own), 2 how many groups at most
-- Returns {now, epoch as epoch_of says, number of groups, open incidents of single alerts, open storms, overflow
--       groups, kinds of which a group has something open {kind...}, group id...}
local due, epoch, under, groups = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, most = clock(ARGV[1]), ARGV[2]

local numbers, kinds, counted = {['#A'] = 0, ['#S'] = 0, ['#O'] = 0}, {}, redis.call('HGETALL', groups)
for i = 1, #counted, 2 do
  local field = counted[i]
  if string.sub(field, 1, 1) == '@' then kinds[#kinds + 1] = string.sub(field, 2) end
  if numbers[field] then numbers[field] = tonumber(counted[i + 1]) end
end
local total = redis.call('ZCARD', due) - (redis.call('ZSCORE', due, '-') and 1 or 0)
return {now, epoch_of(due, epoch, under), total, numbers['#A'], numbers['#S'], numbers['#O'], kinds,
  unpack(redis.call('ZRANGEBYSCORE', due, '-inf', int(now), 'LIMIT', 0, most))}
