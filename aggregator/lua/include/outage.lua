-- #include shard
-- A group of an outage policy and its keys.

-- KEYS of every script that works on one.
local due, epoch, hash, parts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- number is a field of the group, 0 for none.
local function number(field) return tonumber(redis.call('HGET', hash, field) or 0) end

-- make makes the group, unless it is there. It returns whether it did.
local function make(policy, labels)
  if redis.call('EXISTS', hash) == 1 then return false end
  redis.call('HSET', hash, 'policy', policy, 'labels', labels)
  redis.call('HSET', parts, '#', '1')
  return true
end

-- note leaves a note for whoever takes the group next; save forgets those that take has returned.
local function note(field, text)
  redis.call('HSET', hash, field, int(number('version') + 1) .. '\31' .. text)
end

-- pause is when the group may be written next. A time that is further ahead than the flush interval is that of a clock
-- that was set back.
local function pause(now)
  local at = number('notBefore')
  return at <= now + number('interval') and at or now
end

-- wake makes the group due, not before it may be written, and not while a pod has its lease: save brings it forward.
local function wake(now, id)
  local at = math.max(now, pause(now), number('leaseUntil'))
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
