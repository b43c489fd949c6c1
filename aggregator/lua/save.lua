#!lua flags=allow-oom
-- #include outage
-- save: writes what was decided about a group of an outage policy, under its lease.
--
-- KEYS  as outage.lua says
-- ARGV  1 clock (ms, 0: Redis' own), 2 group id, 3 lease token, 4 version as take returned it, 5 state (JSON, '': the
--       group is forgotten if nothing was reported meanwhile), 6 1 to give the lease back, 7 when the group may be
--       written next (ms), 8 flush interval (ms), 9 when the group wants attention next (ms), then the names and
--       revisions of incidents that are forgotten
-- Returns 1, or 0 when the lease was gone and nothing was done
local now, id, token, version, state = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local release, at = ARGV[6] == '1', tonumber(ARGV[9])
if redis.call('HGET', hash, 'lease') ~= token then return 0 end
for i = 10, #ARGV, 2 do
  local last = string.match(redis.call('HGET', parts, ARGV[i]) or '', '^(%d+)\31')
  if last == ARGV[i + 1] then redis.call('HDEL', parts, ARGV[i]) end
end
local same = number('version') == version
if state == '' and same then
  redis.call('UNLINK', hash, parts)
  redis.call('ZREM', due, id)
  return 1
end
local fields = redis.call('HGETALL', hash)
for i = 1, #fields, 2 do -- Notes that take returned are in the state.
  local noted = string.match(fields[i + 1], '^(%d+)\31')
  if noted and tonumber(noted) <= version then redis.call('HDEL', hash, fields[i]) end
end
redis.call('HSET', hash, 'state', state, 'notBefore', ARGV[7], 'interval', ARGV[8])
if release then redis.call('HDEL', hash, 'lease', 'leaseUntil') end
if not same then at = math.min(at, math.max(now, pause(now))) end
if not release then at = math.max(at, number('leaseUntil')) end
redis.call('ZADD', due, int(at), id)
return 1
