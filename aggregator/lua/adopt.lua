#!lua flags=allow-oom
-- #include outage
-- adopt: tells an outage, which may be a part of a later policy's, of which outage it is a part.
--
-- KEYS  as outage.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 name of the outage that is told, 4 the teller (JSON)
-- Returns as tell.lua does
local now, id = clock(ARGV[1]), ARGV[2]
if lost(id) or not imported(due, epoch) then return {'wait', 0} end
if redis.call('EXISTS', hash) == 0 then return {'0', 0} end
local teller = cjson.decode(ARGV[4])
local field = 'told:' .. ARGV[3] .. ':' .. teller.group
local known = cjson.decode(redis.call('HGET', hash, field) or '{}')
if (known.at or 0) > teller.at then return {'1', 0} end
redis.call('HSET', hash, field, ARGV[4])
if known.name ~= teller.name then return {'1', wake(now, id)} end
return {'1', 0}
