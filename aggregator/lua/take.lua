#!lua flags=allow-oom
-- #include outage
-- take: takes the lease of a group of an outage policy that is due, and reads it.
--
-- KEYS  as outage.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 lease token, 4 lease (ms), 5 1 to take it before the flush
--       interval is over, and before the shard is imported
-- Returns {'none'}: there is no such group; {'import'}: the shard has to be imported; {'busy', until (ms)}: another has
--       the lease, or the flush interval is not over; or {'ok', now, version, {field, value, ...}, {incident, revision
--       \31 start \31 facts, ...}}
local now, id, token, at_once = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[5] == '1'
if lost(id) or not at_once and not imported(due, epoch) then return {'import'} end
if redis.call('EXISTS', hash) == 0 then return {'none'} end
local held = math.min(number('leaseUntil'), now + ARGV[4])
local busy = held > now and redis.call('HGET', hash, 'lease') ~= token
if busy or pause(now) > now and not at_once then
  if busy then redis.call('HSET', hash, 'leaseUntil', int(held)) end
  local at = busy and held or pause(now)
  redis.call('ZADD', due, int(at), id)
  return {'busy', at}
end
redis.call('HSET', hash, 'lease', token, 'leaseUntil', int(now + ARGV[4]))
redis.call('ZADD', due, int(now + ARGV[4]), id)
return {'ok', now, number('version'), redis.call('HGETALL', hash),
  redis.call('HGETALL', parts)}
