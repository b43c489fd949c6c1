-- #include shard
-- A group of an outage policy and its keys.

-- KEYS of every script that works on one.
local due, epoch, hash, parts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- wake makes the group due, not before it may be written, and not while a pod has its lease: save brings it forward.
local function wake(now, id)
  local times, at = redis.call('HMGET', hash, 'notBefore', 'leaseUntil'), now
  for i = 1, 2 do at = math.max(at, tonumber(times[i] or 0)) end
  local known = redis.call('ZSCORE', due, id)
  if not known or tonumber(known) > at then redis.call('ZADD', due, int(at), id) end
  redis.call('HINCRBY', hash, 'version', 1)
  return at
end

-- lost tells whether Redis has lost one of the group's keys. What is left of it goes too, and the shard has to be
-- imported. The part # is the group itself, so that it has both keys or none.
local function lost(id)
  local n = redis.call('EXISTS', hash, parts)
  if n == 2 or n == 0 and not redis.call('ZSCORE', due, id) then return false end
  redis.call('UNLINK', hash, parts)
  redis.call('ZREM', due, id)
  redis.call('DEL', epoch)
  return true
end
